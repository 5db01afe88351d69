import { issuePurgeCancel } from '@aliquot/shared/keys/purge';
import { type CommandContext, outputOf } from '../../cli/context.ts';
import { CollectorClient } from '../client/collector-client.ts';
import { provedVault } from '../open-vault.ts';
import { type ByOptions, openSigner } from '../operator-key.ts';
import { type CollectorOptions, endpointOf } from '../options.ts';
import { reasonOf, waitingPurge } from './find.ts';

export interface CancelOptions extends CollectorOptions, ByOptions {
  readonly reason: string;
  readonly json?: boolean;
}

/** `aliquot purge cancel`. */
export async function cancelPurge(
  context: CommandContext,
  id: string,
  options: CancelOptions,
): Promise<void> {
  const output = outputOf(context, options);
  const reason = reasonOf(options);
  const endpoint = await endpointOf(context, options);
  const signer = await openSigner(context, options, 'retention');
  const { descriptor, key, certificate } = signer;
  const vault = await provedVault(context, await CollectorClient.connect(endpoint), descriptor);
  const { body, name } = await waitingPurge(vault, id);
  const { vaultId, purgeId } = body;
  const cancelledAtMs = Math.floor(context.clock.nowMs());
  const said = { version: 1, vaultId, purgeId, cancelledAtMs, reason } as const;
  const leaf = await vault.purges.cancel(issuePurgeCancel(key, said), certificate);
  await output.result(
    { event: 'cancelled', purge: name, leaf },
    `Purge ${name} is cancelled: everything stays. The log has it as leaf ${leaf}.`,
  );
}
