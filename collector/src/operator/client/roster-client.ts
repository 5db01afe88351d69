import { encodeSigned, type FileId, type Signed } from '@aliquot/proto';
import { didYouMean, nearest } from '@aliquot/shared/cli/nearest';
import { toBase64 } from '../../api/base64.ts';
import { type AgentInfo, type AgentList, agentList, leafAnswer } from '../../api/messages.ts';
import { CommandError } from '../../cli/command-error.ts';
import { type AgentView, everyBranch } from '../agent-view.ts';
import { agentCalled, branchCalled, ownerCalled } from '../find-agent.ts';
import { getOf, postTo, type VaultPath } from './ask.ts';

/** The agents and groups of a vault. */
export class RosterClient {
  readonly #path: VaultPath;

  constructor(path: VaultPath) {
    this.#path = path;
  }

  async list(): Promise<AgentList> {
    return (await getOf(this.#path, agentList, '/agents')).value;
  }

  /** The agent that a name or an id means; see `agentCalled`. */
  async agent(name: string): Promise<AgentInfo> {
    const { agents } = await this.list();
    const found = agentCalled(agents, name);
    if (found !== undefined) return found;
    throw new CommandError(
      'COMMAND_AGENT',
      noAgent(this.#path.name, name, agents, '`aliquot agents` lists them'),
    );
  }

  /** Whose files a name or an id means; see `branchCalled`. */
  async history(name: string): Promise<AgentView> {
    const { agents } = await this.list();
    const found = branchCalled(agents, name);
    if (found !== undefined) return found;
    const where = name.includes('~')
      ? '`aliquot fork list` shows what is held apart'
      : '`aliquot agents` lists them';
    throw new CommandError('COMMAND_AGENT', noAgent(this.#path.name, name, agents, where));
  }

  /**
   * Says whose a history (`AGENT~xxxxxxxx`) is; saying the same again is answered. Returns the
   * agent that it was held apart from.
   */
  async decideFork(
    name: string,
    decision: { decision: 'restored' } | { decision: 'clone'; name: string },
  ): Promise<AgentInfo> {
    const owner = ownerCalled((await this.list()).agents, name);
    if (owner === undefined) {
      const see =
        '`aliquot fork list` shows what is held apart, each with its name such as hplc-1~0a1b2c3d';
      throw new CommandError(
        'COMMAND_AGENT',
        `${name} is no branch held apart in vault ${this.#path.name}; ${see}`,
      );
    }
    await postTo(
      this.#path,
      leafAnswer,
      `/agents/${owner.agent.agentId}~${owner.digits}/fork`,
      decision,
    );
    return owner.agent;
  }

  /** All of them, or none. */
  async expectAgents(enrolments: readonly Signed[]): Promise<void> {
    await postTo(this.#path, leafAnswer, '/agents', {
      enrolments: enrolments.map((enrolment) => toBase64(encodeSigned(enrolment))),
    });
  }

  async addGroup(group: Signed): Promise<void> {
    await postTo(this.#path, leafAnswer, '/groups', { group: toBase64(encodeSigned(group)) });
  }

  async endGroup(groupId: string): Promise<void> {
    await postTo(this.#path, leafAnswer, `/groups/${groupId}/end`, {});
  }

  async approve(approval: Signed, operator: Signed | undefined): Promise<void> {
    const certificate = operator && toBase64(encodeSigned(operator));
    await postTo(this.#path, leafAnswer, '/approvals', {
      approval: toBase64(encodeSigned(approval)),
      operator: certificate,
    });
  }

  /** By the token alone, with the reason, or with what was signed. */
  async revokeAgent(
    agentId: string,
    end:
      | { readonly reason: string }
      | { readonly revocation: Signed; readonly operator: Signed | undefined },
  ): Promise<void> {
    const text = (signed: Signed) => toBase64(encodeSigned(signed));
    const body =
      'reason' in end
        ? end
        : { revocation: text(end.revocation), operator: end.operator && text(end.operator) };
    await postTo(this.#path, leafAnswer, `/agents/${agentId}/revoke`, body);
  }

  /** Says of files of a replaced agent that they are gone; at most `MAX_GONE_FILES` at once. */
  async filesGone(agentId: string, fileIds: readonly FileId[]): Promise<void> {
    await postTo(this.#path, leafAnswer, `/agents/${agentId}/gone`, {
      fileIds: toBase64(Buffer.concat(fileIds)),
    });
  }

  /** Says that nobody waits for an agent any more before something is swept. */
  async lostAgent(agentId: string, reason: string): Promise<void> {
    await postTo(this.#path, leafAnswer, `/agents/${agentId}/lost`, { reason });
  }

  async acknowledgeProblems(agentId: string): Promise<void> {
    await postTo(this.#path, leafAnswer, `/agents/${agentId}/acknowledge`, {});
  }
}

/** Says which agent was probably meant. */
function noAgent(vault: string, name: string, agents: readonly AgentInfo[], where: string): string {
  const names = everyBranch(agents).map((agent) => agent.name);
  return `vault ${vault} has no agent ${name}${didYouMean(nearest(name, names)) || `; ${where}`}`;
}
