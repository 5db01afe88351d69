import { decodeSignedCommit, type FileId, type StateRecord } from '@aliquot/proto';
import { UsageError } from '@aliquot/shared/cli/errors';
import { formatTime, printable } from '@aliquot/shared/cli/format';
import { pathCandidates } from '@aliquot/shared/cli/path-set';
import { commitHash } from '@aliquot/shared/commit/commit';
import { fileIdFor, pathKeyFor } from '@aliquot/shared/keys/derive';
import type { NameRow } from '../api/messages.ts';
import { isVersion, parseVersionId, type VersionId } from '../api/version-id.ts';
import { CommandError } from '../cli/command-error.ts';
import type { AgentView } from './agent-view.ts';
import type { StateAnswer } from './client/reading-client.ts';
import { goneText } from './gone-text.ts';
import { type ProvedVault, readerOf } from './open-vault.ts';
import { pathOf } from './paths.ts';
import { provedRecords } from './proof/answers.ts';
import { certifiedAgent, type OpenVersion, openVersions, type VersionWatch } from './verified.ts';

/**
 * The newest version of one whole path at a time, a deletion included; only its own commits are
 * asked for. Undefined when there was none, or when it does not open, which goes to `watch`: an
 * older one is not what was asked for.
 */
export async function newestOf(
  open: ProvedVault,
  view: AgentView,
  path: string,
  atMs: number | undefined,
  watch: VersionWatch,
): Promise<OpenVersion | undefined> {
  const { kit } = open;
  const reader = await readerOf(open);
  const agent = certifiedAgent(kit, view);
  const pathKey = pathKeyFor(kit.pathSecret, agent.enrolment);
  let newest: OpenVersion | undefined;
  for (const candidate of pathCandidates(path)) {
    const all = versionsOfFile(open, view, fileIdFor(pathKey, candidate));
    const records = newestRecord(all, atMs);
    for await (const version of openVersions(records, reader, agent, watch)) newest = version;
  }
  return newest;
}

/** Every version of one file, proved to be all. */
async function* versionsOfFile(
  open: ProvedVault,
  view: AgentView,
  fileId: FileId,
): AsyncGenerator<StateAnswer> {
  const check = await open.proofs.versions(view, { id: fileId, isResult: false });
  yield* provedRecords(open, view, open.vault.reading.versions(view.agentId, fileId), check);
}

/**
 * The last version of some that come oldest first, not later than a time. A newer one that the
 * collector cannot read any more stands in its way.
 */
async function* newestRecord(
  answers: AsyncIterable<StateAnswer>,
  atMs: number | undefined,
): AsyncGenerator<StateAnswer> {
  let newest: StateRecord | undefined;
  for await (const record of answers) {
    if ('unopened' in record) {
      const { receivedAtMs, versions } = record.unopened;
      const isOlder = (newest?.versionTimesMs[0] ?? 0) < receivedAtMs;
      if (versions > 0 && isOlder && (atMs === undefined || receivedAtMs <= atMs))
        newest = undefined;
      yield record;
      continue;
    }
    for (const [index, slot] of record.live.entries()) {
      const timeMs = record.versionTimesMs[index];
      if (timeMs !== undefined && (atMs === undefined || timeMs <= atMs))
        newest = { ...record, live: [slot], versionTimesMs: [timeMs] };
    }
  }
  if (newest !== undefined) yield newest;
}

/**
 * The one version that an id means, as `ls` and `versions` print them, or a beginning that no other
 * has; of one path's versions if that is given. Undefined when it does not open, which goes to
 * `watch`. Errors: `USAGE_INVALID` for what is no id, or that of several; `COMMAND_NO_SUCH_FILE`
 * for none, or a deletion.
 */
export async function versionById(
  open: ProvedVault,
  view: AgentView,
  { version: text, path }: { readonly version: string; readonly path: string | undefined },
  watch: VersionWatch,
): Promise<OpenVersion | undefined> {
  const { kit, vault } = open;
  const reader = await readerOf(open);
  const id = parseVersionId(text);
  const agent = certifiedAgent(kit, view);
  const see = `see \`aliquot versions --agent ${agent.name} --path PATH\``;
  const found: OpenVersion[] = [];
  let unopened = 0;
  const counting: VersionWatch = {
    onUnopened(commit) {
      unopened += commit.versions;
      watch.onUnopened(commit);
    },
  };
  const pathKey = pathKeyFor(kit.pathSecret, agent.enrolment);
  const sources =
    path === undefined
      ? [vault.reading.versionsById(view.agentId, id)]
      : pathCandidates(path).map((bytes) => versionsOfFile(open, view, fileIdFor(pathKey, bytes)));
  for (const records of sources) {
    const meant = only(records, id);
    for await (const version of openVersions(meant, reader, agent, counting)) found.push(version);
  }
  const [first] = found;
  if (found.length + unopened > 1) {
    const some = found.slice(0, 4).map(({ row }) => `${row.version} (${printable(pathOf(row))})`);
    throw new UsageError(
      'USAGE_INVALID',
      `"${text}" is not enough: ${[...some, '…'].join(', ')}; give the whole id, or --path too`,
    );
  }
  if (first === undefined && unopened === 0) {
    const dropped = await droppedText(open, view, text);
    if (path === undefined)
      await open.proofs.requireNoCommit(view, id.digits, dropped !== undefined);
    if (dropped !== undefined)
      throw new CommandError('COMMAND_NO_SUCH_FILE', `${dropped}; ${see} for what is left`);
    const of = path === undefined ? '' : ` of ${printable(path)}`;
    throw new CommandError(
      'COMMAND_NO_SUCH_FILE',
      `agent ${agent.name} has no version ${text}${of}; ${see}`,
    );
  }
  if (first?.entry.kind === 'gone')
    throw new CommandError('COMMAND_NO_SUCH_FILE', deletedText(first.row));
  return first;
}

/** Where a version went that retention has dropped, as the collector says. */
async function droppedText(
  { vault }: ProvedVault,
  view: AgentView,
  version: string,
): Promise<string | undefined> {
  const { versions, runs } = await vault.retention.dropped(view.agentId, version);
  const [first] = versions;
  if (first === undefined) return undefined;
  const run = runs.find((one) => one.run === first.run);
  return `version ${first.version} was ${goneText(first, run)}`;
}

/** Records with only those of their versions that are meant. */
async function* only(
  answers: AsyncIterable<StateAnswer>,
  id: VersionId,
): AsyncGenerator<StateAnswer> {
  for await (const record of answers) {
    if ('unopened' in record) {
      if (mayBeOf(id, record.unopened.commit)) yield record;
      continue;
    }
    const hash = commitHash(decodeSignedCommit(record.commit).header);
    const kept = [...record.live.entries()].filter(([, slot]) => isVersion(id, hash, slot));
    if (kept.length === 0) continue;
    yield {
      ...record,
      live: kept.map(([, slot]) => slot),
      versionTimesMs: kept.map(([index]) => record.versionTimesMs[index] ?? 0),
    };
  }
}

/** Whether an id may mean a version in the commit of this name. */
function mayBeOf({ digits }: VersionId, commit: string): boolean {
  return digits.startsWith(commit) || commit.startsWith(digits);
}

/** Why a deletion cannot be given back, and what can. */
export function deletedText(row: NameRow): string {
  const path = printable(pathOf(row));
  const see = `\`aliquot versions --agent ${row.agent} --path '${path}'\` lists what it was before, for --version`;
  return `${path} was deleted, as captured ${formatTime(row.versionTimeMs)}; ${see}`;
}

/** `--version` and `--at` both say which version. Error: `USAGE_INVALID`. */
export function requireOneTime({
  at,
  version,
}: {
  readonly at?: string;
  readonly version?: string;
}): void {
  if (at !== undefined && version !== undefined)
    throw new UsageError('USAGE_INVALID', 'give --at or --version, not both');
}
