import { asCollectorId } from '@aliquot/proto';
import { UsageError } from '@aliquot/shared/cli/errors';
import { fromHex, hex } from '@aliquot/shared/crypto/bytes';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import { collectorIdOf, issueCollectorCertificate } from '@aliquot/shared/keys/certificates';
import type { OpenKit } from '@aliquot/shared/keys/kit';
import type { Command } from 'commander';
import { fromBase64 } from '../api/base64.ts';
import { CommandError } from '../cli/command-error.ts';
import { type CommandContext, outputOf } from '../cli/context.ts';
import { CollectorClient } from './client/collector-client.ts';
import { handOverRevocations, tellAgain } from './decisions.ts';
import { openKitFile } from './kit-file.ts';
import {
  type CollectorOptions,
  endpointOf,
  type KitOptions,
  withCollector,
  withExample,
  withJson,
  withKit,
} from './options.ts';

interface AddOptions extends CollectorOptions, KitOptions {
  readonly collector?: string;
  readonly generation: string;
  readonly json?: boolean;
}

const MAX_GENERATION = 1_000_000;

export function registerVault(program: Command, context: CommandContext): void {
  const vault = program.command('vault').description('Vaults of a collector.');
  withExample(vault, 'aliquot vault add --kit lab.kit');
  const add = vault
    .command('add')
    .description(
      "Certify the collector for the kit's vault and hand it the vault's public parts (and, unless the vault is blind, the catalog key).",
    )
    .option(
      '--collector <ID>',
      'refuse unless the collector has this id, as `aliquot init` printed it',
    )
    .option(
      '--generation <N>',
      'one more than before when this collector succeeds a lost one; agents refuse to go back',
      '1',
    );
  withJson(withKit(withCollector(add), 'needed'));
  withExample(
    add,
    'aliquot vault add --kit lab.kit --url http://127.0.0.1:8480 --token-file /srv/aliquot/admin.token',
  );
  add.action(async (options: AddOptions) => addCommand(context, options));
}

async function addCommand(context: CommandContext, options: AddOptions): Promise<void> {
  const output = outputOf(context, options);
  const generation = Number(options.generation);
  if (!Number.isInteger(generation) || generation < 1 || generation > MAX_GENERATION) {
    throw new UsageError(
      'USAGE_INVALID',
      `--generation cannot be "${options.generation}"; give a whole number from 1 up`,
    );
  }
  const endpoint = await endpointOf(context, options);
  const kit = await openKitFile(context, options);
  const collector = await CollectorClient.connect(endpoint);
  const signKey = fromBase64(collector.info.signKey);
  const collectorId = expectedCollector(collector, signKey, options.collector);
  const certificate =
    earlierCertificate(collector, kit) ??
    issueCollectorCertificate(kit.authority, {
      version: 1,
      vaultId: kit.descriptor.vaultId,
      collectorId,
      signKey,
      generation,
      issuedAtMs: context.clock.nowMs(),
    });
  const catalogSecretKey = kit.descriptor.blind ? undefined : kit.catalogKey.secretKey;
  const added = await collector.addVault({
    descriptor: kit.signedDescriptor,
    certificate,
    catalogSecretKey,
  });
  const blind = added.blind ? ' It is blind: the collector cannot open names.' : '';
  await output.result(
    {
      event: 'vault',
      vault: added.name,
      vaultId: added.vaultId,
      blind: added.blind,
      collectorId: hex(collectorId),
    },
    `Vault ${added.name} is at the collector ${collector.info.name} (${hex(collectorId)}).${blind}\nNext: aliquot enroll NAME --kit KIT --out BUNDLE`,
  );
  // Who was revoked at a collector that this one succeeds is out before it calls.
  const reached = await CollectorClient.connect(endpoint);
  const vault = reached.vault({ vaultId: kit.descriptor.vaultId });
  vault.certificate(kit.authority.publicKey);
  await tellAgain(output, await handOverRevocations(context, vault));
}

/**
 * The id follows from the key, so a collector cannot claim another's; which one it should be only
 * the operator knows.
 */
function expectedCollector(
  collector: CollectorClient,
  signKey: Uint8Array,
  expected: string | undefined,
) {
  const collectorId = asCollectorId(collectorIdOf(signKey));
  if (hex(collectorId) !== collector.info.collectorId)
    throw new CommandError(
      'COMMAND_FOREIGN_COLLECTOR',
      'the collector claims an id that is not its key’s',
    );
  if (expected === undefined) return collectorId;
  const wanted = fromHex(expected);
  if (wanted === undefined || !equalBytes(wanted, collectorId)) {
    throw new CommandError(
      'COMMAND_FOREIGN_COLLECTOR',
      `the collector at ${collector.endpoint.url} is ${hex(collectorId)}, not ${expected}: check the address`,
    );
  }
  return collectorId;
}

/** The certificate from the first time, so that adding a vault again gives the same answer. */
function earlierCertificate(collector: CollectorClient, kit: OpenKit) {
  if (!collector.info.vaults.some((vault) => vault.vaultId === hex(kit.descriptor.vaultId)))
    return undefined;
  const vault = collector.vault({ vaultId: kit.descriptor.vaultId });
  vault.certificate(kit.authority.publicKey);
  return vault.signedCertificate;
}
