import { UsageError } from '@aliquot/shared/cli/errors';
import { issueHoldRelease } from '@aliquot/shared/keys/hold';
import { type CommandContext, outputOf } from '../../cli/context.ts';
import { CollectorClient } from '../client/collector-client.ts';
import { provedVault } from '../open-vault.ts';
import { type ByOptions, openSigner } from '../operator-key.ts';
import { type CollectorOptions, endpointOf } from '../options.ts';
import { holdInForce } from './find.ts';

export interface ReleaseOptions extends CollectorOptions, ByOptions {
  readonly reason: string;
  readonly json?: boolean;
}

/** `aliquot hold release`. */
export async function releaseHold(
  context: CommandContext,
  name: string,
  options: ReleaseOptions,
): Promise<void> {
  const output = outputOf(context, options);
  const { reason } = options;
  if (reason.trim() === '')
    throw new UsageError('USAGE_INVALID', '--reason is empty; say why, for the log');
  const endpoint = await endpointOf(context, options);
  const signer = await openSigner(context, options, 'retention');
  const vault = await provedVault(
    context,
    await CollectorClient.connect(endpoint),
    signer.descriptor,
  );
  const { body } = await holdInForce(vault, name);
  const { vaultId, holdId } = body;
  const releasedAtMs = Math.floor(context.clock.nowMs());
  const said = { version: 1, vaultId, holdId, releasedAtMs, reason } as const;
  const leaf = await vault.holds.release(issueHoldRelease(signer.key, said), signer.certificate);
  await output.result(
    { event: 'released', hold: name, leaf },
    `Hold ${name} is released: from now on the rules decide about what it covered. The log has it as leaf ${leaf}.`,
  );
}
