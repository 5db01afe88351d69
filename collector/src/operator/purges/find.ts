import { decodePurgeOrderBody, type PurgeOrderBody } from '@aliquot/proto';
import { UsageError } from '@aliquot/shared/cli/errors';
import { formatTime } from '@aliquot/shared/cli/format';
import { hex } from '@aliquot/shared/crypto/bytes';
import { fromBase64 } from '../../api/base64.ts';
import type { PurgeInfo } from '../../api/purge-messages.ts';
import { CommandError } from '../../cli/command-error.ts';
import type { VaultClient } from '../client/vault-client.ts';
import { evidence } from '../evidence.ts';

/** A purge as the collector shows it, with what was ordered. */
export interface ShownPurge extends PurgeInfo {
  readonly body: PurgeOrderBody;
  /** The first digits of its id, by which commands take it. */
  readonly name: string;
}

const NAME_DIGITS = 8;

/** What a purge is called. */
export function nameOfPurge({ purgeId }: Pick<PurgeOrderBody, 'purgeId'>): string {
  return hex(purgeId).slice(0, NAME_DIGITS);
}

/** Every purge of a vault, the oldest first. Error: `COMMAND_UNVERIFIED`. */
export async function purgesOf(vault: VaultClient): Promise<ShownPurge[]> {
  return (await vault.purges.list()).map((info) => {
    const body = evidence(() => decodePurgeOrderBody(fromBase64(info.order)));
    return { ...info, body, name: nameOfPurge(body) };
  });
}

/** The purge that an id means, or enough of its beginning. Error: `COMMAND_PURGE`. */
async function purgeCalled(vault: VaultClient, id: string): Promise<ShownPurge> {
  const purges = await purgesOf(vault);
  const isId = /^[0-9a-f]{4,32}$/.test(id);
  const found = purges.filter(({ body }) => isId && hex(body.purgeId).startsWith(id));
  const [one, more] = found;
  if (one === undefined || more !== undefined)
    throw new CommandError(
      'COMMAND_PURGE',
      one === undefined
        ? `vault ${vault.info.name} has no purge ${id}; \`aliquot purge list\` shows them`
        : `several purges begin with ${id}: give more digits`,
    );
  return one;
}

/** The same, which still waits for approval. Error: `COMMAND_PURGE`. */
export async function waitingPurge(vault: VaultClient, id: string): Promise<ShownPurge> {
  const purge = await purgeCalled(vault, id);
  const { name, approved, cancelled } = purge;
  if (approved !== undefined)
    throw new CommandError(
      'COMMAND_PURGE',
      `purge ${name} was approved on ${formatTime(approved.atMs)} by ${approved.by} and is done: what went does not come back`,
    );
  if (cancelled !== undefined)
    throw new CommandError(
      'COMMAND_PURGE',
      `purge ${name} was cancelled on ${formatTime(cancelled.atMs)} by ${byOf(cancelled)}: order it again if it is still wanted`,
    );
  return purge;
}

/** Why, as it will stand in the log for ever. Error: `USAGE_INVALID`. */
export function reasonOf({ reason }: { readonly reason: string }): string {
  if (reason.trim() !== '' && reason.length <= MAX_REASON && !/[\p{Cc}\p{Zl}\p{Zp}]/u.test(reason))
    return reason;
  throw new UsageError(
    'USAGE_INVALID',
    `--reason must be one line, not empty, of at most ${MAX_REASON} characters`,
  );
}

const MAX_REASON = 400;

/** Who said something of a purge. */
export function byOf({ by }: PurgeInfo['ordered']): string {
  return by === '' ? 'the authority' : by;
}
