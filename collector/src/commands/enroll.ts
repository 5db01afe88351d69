import { type AgentId, asAgentId, asLineageId, type LineageId } from '@aliquot/proto';
import { UsageError } from '@aliquot/shared/cli/errors';
import { formatInstant } from '@aliquot/shared/cli/format';
import { parseDuration } from '@aliquot/shared/cli/time';
import { newSigningKey } from '@aliquot/shared/crypto/sign';
import { eraseDurably, writeFileDurably } from '@aliquot/shared/durable/durable';
import { sealBundle } from '@aliquot/shared/keys/bundle';
import { issueEnrolment } from '@aliquot/shared/keys/certificates';
import { pathKeyFor } from '@aliquot/shared/keys/derive';
import type { OpenKit } from '@aliquot/shared/keys/kit';
import type { Command } from 'commander';
import { agentUrl, presentOf } from './address.ts';
import { type CommandContext, outputOf } from './context.ts';
import { refuseExisting } from './kit.ts';
import { openKitFile } from './kit-file.ts';
import { type CollectorOptions, endpointOf, type KitOptions, withCollector, withExample, withJson, withKit } from './options.ts';
import { tlsTrustOf } from './tls-trust.ts';
import { CollectorClient, type VaultClient } from './vault-client.ts';
import { certifiedAgent } from './verified.ts';
import { demandContinuation } from './witness.ts';

interface EnrollOptions extends CollectorOptions, KitOptions {
  readonly out: string;
  readonly expires: string;
  readonly selfRestore: boolean;
  readonly replaces?: string;
  readonly agentUrl?: string;
  readonly json?: boolean;
}

/** What an agent may be called, and an operator. */
export const AGENT_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
const AGENT_ID_BYTES = 16;
const YEAR_MS = 366 * 24 * 3600 * 1000;

export function registerEnroll(program: Command, context: CommandContext): void {
  const enroll = program
    .command('enroll')
    .description(
      'Make the enrolment bundle for one PC. It is a secret, also after it was used or has expired: carry it yourself and delete it.',
    )
    .argument('NAME', "the agent's name: letters, digits, dots, dashes")
    .requiredOption('--out <BUNDLE>', 'the bundle to write; an existing file is never overwritten')
    .option('--expires <AGE>', 'how long the bundle may be used', '24h')
    .option('--no-self-restore', 'this PC may send but not read back, not even its own files')
    .option(
      '--replaces <OLD>',
      'this PC takes the place of agent OLD: it inherits its history, and OLD is refused as soon as this one enrols',
    )
    .option('--agent-url <URL>', 'the address at which this PC reaches the collector, if it is not --url');
  withJson(withKit(withCollector(enroll), 'needed'));
  withExample(
    enroll,
    'aliquot enroll hplc-1 --kit lab.kit --out hplc-1.bundle',
    'aliquot enroll hplc-1b --replaces hplc-1 --kit lab.kit --out hplc-1b.bundle',
  );
  enroll.action(async (name: string, options: EnrollOptions) => enrollCommand(context, name, options));
}

async function enrollCommand(context: CommandContext, name: string, options: EnrollOptions): Promise<void> {
  const output = outputOf(context, options);
  if (!AGENT_NAME.test(name)) {
    throw new UsageError(
      'USAGE_INVALID',
      `"${name}" is no agent name; use 1 to 64 letters, digits, dots, dashes and underscores, starting with a letter or digit`,
    );
  }
  const nowMs = context.clock.nowMs();
  const expiresAtMs = nowMs + parseDuration(options.expires, '--expires');
  if (expiresAtMs > nowMs + YEAR_MS)
    throw new UsageError('USAGE_INVALID', '--expires is above a year; a bundle is a secret that lies around, give days');
  await refuseExisting(context, options.out);
  const endpoint = await endpointOf(context, options);
  const kit = await openKitFile(context, options);
  const collector = await CollectorClient.connect(endpoint);
  const vault = collector.vault({ vaultId: kit.descriptor.vaultId });
  vault.certificate(kit.authority.publicKey);
  await demandContinuation(context, vault);
  const line = await lineOf(context, vault, kit, options.replaces);
  const enrolmentKey = newSigningKey(context.random);
  const dedupEpoch = Math.max(...kit.dedupSecrets.map((secret) => secret.epoch));
  const enrolment = issueEnrolment(kit.authority, {
    version: 1,
    vaultId: kit.descriptor.vaultId,
    ...line,
    name,
    enrolmentKey: enrolmentKey.publicKey,
    selfRestore: options.selfRestore,
    dedupEpoch,
    issuedAtMs: nowMs,
    expiresAtMs,
  });
  const bundle = sealBundle({
    version: 1,
    url: options.agentUrl === undefined ? endpoint.url : agentUrl(options.agentUrl),
    ...tlsTrustOf(collector.peerChain, endpoint.tlsCa),
    descriptor: kit.signedDescriptor,
    collectorCertificate: vault.signedCertificate,
    enrolment,
    enrolmentSeed: enrolmentKey.seed,
    dedupSecrets: kit.dedupSecrets,
    pathKey: pathKeyFor(kit.pathSecret, line.lineageId),
    addresses: (await presentOf(vault))?.signed,
  });
  await publish(context, options.out, bundle, () => vault.expectAgent(enrolment));
  await output.result(
    {
      event: 'bundle',
      bundle: options.out,
      agent: name,
      expires: formatInstant(expiresAtMs),
      selfRestore: options.selfRestore,
      replaces: options.replaces,
    },
    `Bundle for ${name} written to ${options.out}; it may be used until ${formatInstant(expiresAtMs)}.\n` +
      `On the PC: aliquot-agent enroll ${options.out} --data DIR\n` +
      'The bundle is a secret even after that: carry it yourself, delete every copy.',
  );
}

/** A new agent begins its own line; a replacement goes on with the line of the one that it replaces, as the authority certified it. */
async function lineOf(
  context: CommandContext,
  vault: VaultClient,
  kit: OpenKit,
  replaces: string | undefined,
): Promise<{ agentId: AgentId; lineageId: LineageId; replaces: AgentId | undefined }> {
  const agentId = asAgentId(context.random.bytes(AGENT_ID_BYTES));
  if (replaces === undefined) return { agentId, lineageId: asLineageId(agentId), replaces: undefined };
  const old = certifiedAgent(kit, await vault.agent(replaces));
  return { agentId, lineageId: old.lineageId, replaces: old.agentId };
}

/**
 * Writes the bundle, then registers it, and takes it away again when the collector refuses. After a crash in between there is a
 * bundle that the collector does not expect, and it says so; the other order could leave a name taken by a bundle that nobody has.
 */
async function publish(context: CommandContext, file: string, text: string, register: () => Promise<void>): Promise<void> {
  await writeFileDurably(context.files, file, Buffer.from(text), { mode: 0o600, createOnly: true });
  try {
    await register();
  } catch (error) {
    // Its keys are those of the whole vault, so the bytes go too.
    await eraseDurably(context.files, file).catch(() => undefined);
    throw error;
  }
}
