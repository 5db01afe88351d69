import { decodeHoldBody, type HoldBody } from '@aliquot/proto';
import { formatTime } from '@aliquot/shared/cli/format';
import { didYouMean, nearest } from '@aliquot/shared/cli/nearest';
import { fromBase64 } from '../../api/base64.ts';
import type { HoldInfo } from '../../api/hold-messages.ts';
import { CommandError } from '../../cli/command-error.ts';
import type { VaultClient } from '../client/vault-client.ts';
import { evidence } from '../evidence.ts';

/** A hold as the collector shows it, with what was set. */
export interface ShownHold extends HoldInfo {
  readonly body: HoldBody;
}

/** Every hold of a vault, the oldest first. Error: `COMMAND_UNVERIFIED`. */
export async function holdsOf(vault: VaultClient): Promise<ShownHold[]> {
  return (await vault.holds.list()).map((info) => {
    return { ...info, body: evidence(() => decodeHoldBody(fromBase64(info.hold))) };
  });
}

/** The newest hold of that name. Error: `COMMAND_HOLD`. */
export async function holdCalled(vault: VaultClient, name: string): Promise<ShownHold> {
  const holds = await holdsOf(vault);
  const found = holds.findLast(({ body }) => body.name === name);
  if (found !== undefined) return found;
  const names = holds.map(({ body }) => body.name);
  const hint = didYouMean(nearest(name, names)) || '; `aliquot hold list` shows them';
  throw new CommandError('COMMAND_HOLD', `vault ${vault.info.name} has no hold ${name}${hint}`);
}

/** The same, which must be in force. Error: `COMMAND_HOLD`. */
export async function holdInForce(vault: VaultClient, name: string): Promise<ShownHold> {
  const found = await holdCalled(vault, name);
  const { released } = found;
  if (released === undefined) return found;
  throw new CommandError(
    'COMMAND_HOLD',
    `hold ${name} was released on ${formatTime(released.atMs)} by ${byOf(released)}: it holds nothing any more`,
  );
}

/** Who released it. */
export function byOf({ by }: NonNullable<HoldInfo['released']>): string {
  return by ?? 'the authority';
}
