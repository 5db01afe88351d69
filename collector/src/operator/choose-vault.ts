import type { CommandContext } from '../cli/context.ts';
import { CollectorClient } from './client/collector-client.ts';
import type { VaultClient } from './client/vault-client.ts';
import { inspectKitFile, kitPath } from './kit-file.ts';
import { type CollectorOptions, endpointOf, type KitOptions } from './options.ts';
import { demandContinuation } from './witness.ts';

/**
 * The vault for a command that needs no key: `--vault` decides, else the kit that is given or set
 * in the environment (its label is read without the passphrase), else the only vault that there is.
 * Its log must continue what this operator has seen of it.
 */
export async function inspectedVault(
  context: CommandContext,
  options: CollectorOptions & KitOptions,
): Promise<VaultClient> {
  const vault = await chosenVault(context, options);
  await demandContinuation(context, vault);
  return vault;
}

/** The same without a look at its log: for `log status`, which shows what is wrong with it. */
export async function chosenVault(
  context: CommandContext,
  options: CollectorOptions & KitOptions,
): Promise<VaultClient> {
  const collector = await CollectorClient.connect(await endpointOf(context, options));
  if (options.vault !== undefined || kitPath(context, options) === undefined)
    return collector.vault({ name: options.vault });
  return collector.vault({ vaultId: (await inspectKitFile(context, options)).vaultId });
}
