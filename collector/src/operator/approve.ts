import {
  type AgentApprovalBody,
  type ApprovedSuccessor,
  asAgentId,
  decodeSigned,
} from '@aliquot/proto';
import { UsageError } from '@aliquot/shared/cli/errors';
import { issueApproval, sealPathKey } from '@aliquot/shared/keys/approval';
import {
  type AgentCertificate,
  issueEnrolment,
  verifyAgent,
  verifyEnrolment,
} from '@aliquot/shared/keys/certificates';
import { pathKeyFor } from '@aliquot/shared/keys/derive';
import type { OpenKit } from '@aliquot/shared/keys/kit';
import type { Command } from 'commander';
import { fromBase64 } from '../api/base64.ts';
import type { AgentInfo } from '../api/messages.ts';
import { CommandError } from '../cli/command-error.ts';
import { type CommandContext, outputOf } from '../cli/context.ts';
import { CollectorClient } from './client/collector-client.ts';
import type { VaultClient } from './client/vault-client.ts';
import { agentCalled } from './find-agent.ts';
import { kitPath, openKitFile } from './kit-file.ts';
import { provedVault } from './open-vault.ts';
import { type ByOptions, openSigner, type Signer, withKitOrKeyFile } from './operator-key.ts';
import {
  type CollectorOptions,
  endpointOf,
  withCollector,
  withExample,
  withJson,
  withNotes,
} from './options.ts';
import { certifiedAgent } from './verified.ts';

interface ApproveOptions extends CollectorOptions, ByOptions {
  readonly replaces?: string;
  readonly json?: boolean;
}

/**
 * How long a PC that was approved in the place of another has to hear of it: it may be switched off
 * for a holiday.
 */
const SUCCESSOR_DAYS = 90;
const DAY_MS = 86_400_000;
const AGENT_ID_BYTES = 16;

export function registerApprove(agents: Command, context: CommandContext): void {
  const approve = agents
    .command('approve')
    .description(
      'Take in a PC that came with the bundle of a group and waits: what it has queued is sent from then on.',
    )
    .argument('NAME', 'its name, as `aliquot agents` shows it')
    .option(
      '--replaces <OLD>',
      'it takes the place of agent OLD and goes on with its history, also under the same name; needs the kit',
    );
  withJson(withKitOrKeyFile(withCollector(approve)));
  withNotes(
    approve,
    'With --replaces the PC gets the path key of OLD, which only the kit can make, sealed to it alone. What it captured while it waited goes on in that history. OLD is refused as soon as the PC has taken over.',
  );
  withExample(
    approve,
    'aliquot agents approve hplc-7 --by maria.key',
    'aliquot agents approve hplc-7 --replaces hplc-7 --kit lab.kit',
  );
  approve.action(async (name: string, options: ApproveOptions) =>
    approveCommand(context, name, options),
  );
}

async function approveCommand(
  context: CommandContext,
  name: string,
  options: ApproveOptions,
): Promise<void> {
  const output = outputOf(context, options);
  const { replaces } = options;
  if (replaces !== undefined && kitPath(context, options) === undefined)
    throw new UsageError(
      'USAGE_MISSING',
      '--replaces needs the kit: the PC gets the path key of the one that it replaces; give --kit FILE',
    );
  const endpoint = await endpointOf(context, options);
  const kit = replaces === undefined ? undefined : await openKitFile(context, options);
  const signer:
    | Signer
    | {
        readonly descriptor: OpenKit['descriptor'];
        readonly key: OpenKit['authority'];
        readonly certificate: undefined;
      } =
    kit === undefined
      ? await openSigner(context, options, 'agents')
      : { descriptor: kit.descriptor, key: kit.authority, certificate: undefined };
  const collector = await CollectorClient.connect(endpoint);
  const vault = await provedVault(context, collector, signer.descriptor);
  const { agents } = await vault.roster.list();
  const info = pendingCalled(vault, agents, name);
  const pending = certified(signer, info);
  const { agentId, name: itsName } = pending.enrolment;
  const successor =
    kit && replaces !== undefined
      ? await successorOf(context, kit, vault, pending, replaces)
      : undefined;
  const body: AgentApprovalBody = {
    version: 1,
    vaultId: signer.descriptor.vaultId,
    agentId,
    approvedAtMs: context.clock.nowMs(),
    successor,
  };
  await vault.roster.approve(issueApproval(signer.key, body), signer.certificate);
  const sends = 'It sends what it has queued within a minute.';
  const takes = `It takes the place of ${replaces} as soon as it asks again, within a minute if it is on; then ${replaces} is refused.`;
  await output.result(
    { event: 'approved', agent: itsName, agentId: info.agentId, group: info.group, replaces },
    `Agent ${itsName} is approved. ${replaces === undefined ? sends : takes}`,
  );
}

/** The PC that waits under a name or an id. Errors: `COMMAND_AGENT`. */
function pendingCalled(
  vault: Pick<VaultClient, 'info'>,
  agents: readonly AgentInfo[],
  name: string,
): AgentInfo {
  const waiting = agents.filter(({ state }) => state === 'pending');
  const found = agentCalled(waiting, name);
  if (found !== undefined) return found;
  const known = agentCalled(agents, name);
  const who =
    waiting.length === 0
      ? 'nobody waits for approval'
      : `these wait: ${waiting.map((agent) => agent.name).join(', ')}`;
  if (known === undefined)
    throw new CommandError(
      'COMMAND_AGENT',
      `no agent ${name} waits in vault ${vault.info.name}; ${who}`,
    );
  throw new CommandError(
    'COMMAND_AGENT',
    `agent ${name} does not wait for approval: it is ${known.state}; ${who}`,
  );
}

/** The PC as authority and group certify it: an approval is for exactly these keys. */
function certified(
  { descriptor }: Pick<Signer, 'descriptor'>,
  { enrolment, binding }: AgentInfo,
): AgentCertificate {
  if (binding === undefined)
    throw new CommandError(
      'COMMAND_UNVERIFIED',
      'the collector shows a PC that waits without its keys',
    );
  const [signed, bound] = [decodeSigned(fromBase64(enrolment)), decodeSigned(fromBase64(binding))];
  return verifyAgent(descriptor.authorityKey, descriptor.vaultId, signed, bound);
}

/**
 * An enrolment of the pending PC's own signing key that continues the line of another agent, and
 * that line's path key for the PC alone.
 */
async function successorOf(
  context: CommandContext,
  kit: OpenKit,
  vault: VaultClient,
  { enrolment, binding }: AgentCertificate,
  replaces: string,
): Promise<ApprovedSuccessor> {
  const old = certifiedAgent(kit, await vault.roster.agent(replaces));
  const nowMs = context.clock.nowMs();
  const signed = issueEnrolment(kit.authority, {
    version: 1,
    vaultId: kit.descriptor.vaultId,
    agentId: asAgentId(context.random.bytes(AGENT_ID_BYTES)),
    lineageId: old.lineageId,
    lineageGroup: old.enrolment.lineageGroup,
    replaces: old.agentId,
    name: enrolment.name,
    enrolmentKey: binding.signKey,
    selfRestore: enrolment.selfRestore,
    dedupEpoch: enrolment.dedupEpoch,
    issuedAtMs: nowMs,
    expiresAtMs: nowMs + SUCCESSOR_DAYS * DAY_MS,
  });
  const successor = verifyEnrolment(kit.authority.publicKey, kit.descriptor.vaultId, signed);
  return sealPathKey(
    pathKeyFor(kit.pathSecret, successor),
    successor,
    signed,
    binding.boxKey,
    context.random,
  );
}
