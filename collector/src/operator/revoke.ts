import { UsageError } from '@aliquot/shared/cli/errors';
import { verifyOperator } from '@aliquot/shared/keys/operator-certificate';
import { issueRevocation } from '@aliquot/shared/keys/revocation';
import type { Command } from 'commander';
import { type CommandContext, outputOf } from '../cli/context.ts';
import { inspectedVault } from './choose-vault.ts';
import { CollectorClient } from './client/collector-client.ts';
import { kitPath } from './kit-file.ts';
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

interface RevokeOptions extends CollectorOptions, ByOptions {
  readonly reason: string;
  readonly json?: boolean;
}

export function registerRevoke(agent: Command, context: CommandContext): void {
  const revoke = agent
    .command('revoke')
    .description('End an agent for good: it is refused from now on; what it backed up stays.')
    .argument('NAME', "the agent's name")
    .option('--reason <TEXT>', 'why, for the log', 'revoked by the operator');
  withJson(withKitOrKeyFile(withCollector(revoke)));
  withNotes(
    revoke,
    'The operator token is enough. With the kit, or the key file of an operator for `agents`, the revocation is signed as well: anyone can verify it, and no collector can say later that nobody revoked the agent. An agent that was revoked without can be revoked again, to sign it; by its id, where another PC bears its name now.',
  );
  withExample(
    revoke,
    "aliquot agent revoke hplc-1 --reason 'PC stolen'",
    "aliquot agent revoke hplc-1 --reason 'PC stolen' --kit lab.kit",
  );
  revoke.action(async (name: string, options: RevokeOptions) =>
    revokeCommand(context, name, options),
  );
}

async function revokeCommand(
  context: CommandContext,
  name: string,
  options: RevokeOptions,
): Promise<void> {
  const output = outputOf(context, options);
  const endpoint = await endpointOf(context, options);
  const { reason } = options;
  const signer = await signerAtHand(context, options);
  const vault =
    signer === undefined
      ? await inspectedVault(context, options)
      : await provedVault(context, await CollectorClient.connect(endpoint), signer.descriptor);
  const found = await vault.roster.agent(name);
  if (signer === undefined) await vault.roster.revokeAgent(found.agentId, { reason });
  else {
    const { vaultId } = signer.descriptor;
    // Of the agent that bears this name by its certificate, whoever the collector says it is.
    const { agentId } = certifiedAgent(signer, found);
    const revokedAtMs = context.clock.nowMs();
    const body = { version: 1, vaultId, agentId, revokedAtMs, reason } as const;
    const revocation = issueRevocation(signer.key, body);
    await vault.roster.revokeAgent(found.agentId, { revocation, operator: signer.certificate });
  }
  const signedBy = signer && nameOf(signer, context.clock.nowMs());
  const by = signedBy === undefined ? '' : ` That is signed by ${signedBy}.`;
  await output.result(
    { event: 'revoked', agent: name, agentId: found.agentId, signedBy },
    `Agent ${name} is revoked. What it backed up stays, and can be restored with the kit.${by}`,
  );
}

/**
 * Who signs, where somebody can: the kit or key file that is named. Of a kit that only ALIQUOT_KIT
 * names, and whose passphrase nobody can give here, no revocation waits.
 */
async function signerAtHand(
  context: CommandContext,
  options: RevokeOptions,
): Promise<Signer | undefined> {
  const isNamed = options.by !== undefined || options.kit !== undefined;
  if (!isNamed && kitPath(context, options) === undefined) return undefined;
  try {
    return await openSigner(context, options, 'agents');
  } catch (error) {
    if (isNamed || !(error instanceof UsageError) || error.code !== 'USAGE_MISSING') throw error;
    outputOf(context, options).note(`the revocation is not signed: ${error.message}`);
    return undefined;
  }
}

/** `authority`, or the name of the operator. */
function nameOf({ descriptor, certificate }: Signer, nowMs: number): string {
  if (certificate === undefined) return 'authority';
  const { authorityKey, vaultId } = descriptor;
  return verifyOperator(authorityKey, vaultId, certificate, 'agents', nowMs).name;
}
