import { PartialError } from '@aliquot/shared/cli/errors';
import { formatCount, formatInstant, formatTime, printable } from '@aliquot/shared/cli/format';
import type { Output } from '@aliquot/shared/cli/output';
import type { UnopenedCommit } from '../api/messages.ts';
import type { VersionWatch } from './verified.ts';

/** Lines for people; JSON has them all. */
const MAX_LINES = 20;

/**
 * The commits that a command met and could not open: each named once, at the end, and the command
 * is done only in part.
 */
export class UnopenedList implements VersionWatch {
  readonly #commits = new Map<string, UnopenedCommit>();

  onUnopened(commit: UnopenedCommit): void {
    this.#commits.set(`${commit.agent} ${commit.commit}`, commit);
  }

  get isAny(): boolean {
    return this.#commits.size > 0;
  }

  /** How many versions they hold, of those that were asked for. */
  get versions(): number {
    return [...this.#commits.values()].reduce((sum, { versions }) => sum + versions, 0);
  }

  /** Names what did not open. Error: `PARTIAL`, when there is any. */
  async tell(output: Output): Promise<void> {
    const { size } = this.#commits;
    if (size === 0) return;
    await this.show(output);
    throw new PartialError(
      'PARTIAL',
      `${countOf(this.versions)} in ${size === 1 ? 'a commit' : `${formatCount(size)} commits`} of this backup cannot be opened; each is named above`,
    );
  }

  /** Names what did not open. */
  async show(output: Output): Promise<void> {
    const commits = [...this.#commits.values()];
    for (const { agent, commit, sequence, receivedAtMs, versions, code, message } of commits) {
      const received = formatInstant(receivedAtMs);
      await output.result({
        event: 'unopened',
        agent,
        commit,
        sequence,
        received,
        versions,
        code,
        message,
      });
    }
    if (!output.json) for (const line of linesOf(commits)) output.note(line);
  }
}

function linesOf(commits: readonly UnopenedCommit[]): string[] {
  const lines = commits
    .slice(0, MAX_LINES)
    .map(({ agent, commit, sequence, receivedAtMs, versions, code, message }) => {
      const where = `commit ${sequence} (${commit}) of agent ${printable(agent)}, received ${formatTime(receivedAtMs)}`;
      return `not opened: ${countOf(versions)} in ${where}: ${printable(message)} [${printable(code)}]`;
    });
  return commits.length > MAX_LINES
    ? [
        ...lines,
        `and ${formatCount(commits.length - MAX_LINES)} commits more; --json names them all`,
      ]
    : lines;
}

/** None is said of a commit of which nobody knows what was in it. */
function countOf(versions: number): string {
  if (versions === 0) return 'an unknown number of versions';
  return `${formatCount(versions)} ${versions === 1 ? 'version' : 'versions'}`;
}
