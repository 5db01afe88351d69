import { decodeSignedCommit, type StateRecord } from '@aliquot/proto';
import { UsageError } from '@aliquot/shared/cli/errors';
import { formatTime, printable } from '@aliquot/shared/cli/format';
import { pathCandidates } from '@aliquot/shared/cli/path-set';
import { commitHash } from '@aliquot/shared/commit/commit';
import { fileIdFor, pathKeyFor } from '@aliquot/shared/keys/derive';
import type { NameRow } from '../api/messages.ts';
import { isVersion, parseVersionId } from '../api/version-id.ts';
import { CommandError } from '../cli/command-error.ts';
import type { AgentView } from './agent-view.ts';
import type { OpenVault } from './open-vault.ts';
import { pathOf } from './paths.ts';
import {
  type CertifiedAgent,
  certifiedAgent,
  type OpenVersion,
  openVersions,
  type VersionWatch,
} from './verified.ts';

/**
 * The newest version of one whole path at a time, a deletion included; only its own commits are
 * asked for. Undefined when there was none, or when it does not open, which goes to `watch`: an
 * older one is not what was asked for.
 */
export async function newestOf(
  { kit, vault, collector }: OpenVault,
  branchId: string,
  agent: CertifiedAgent,
  path: string,
  atMs: number | undefined,
  watch: VersionWatch,
): Promise<OpenVersion | undefined> {
  const pathKey = pathKeyFor(kit.pathSecret, agent.enrolment);
  let newest: OpenVersion | undefined;
  for (const candidate of pathCandidates(path)) {
    const records = newestRecord(
      vault.reading.versions(branchId, fileIdFor(pathKey, candidate)),
      atMs,
    );
    for await (const version of openVersions(records, kit, collector, agent, watch))
      newest = version;
  }
  return newest;
}

/** The last version of some that come oldest first, not later than a time. */
async function* newestRecord(
  records: AsyncIterable<StateRecord>,
  atMs: number | undefined,
): AsyncGenerator<StateRecord> {
  let newest: StateRecord | undefined;
  for await (const record of records) {
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
  { kit, vault, collector }: OpenVault,
  view: AgentView,
  { version: text, path }: { readonly version: string; readonly path: string | undefined },
  watch: VersionWatch,
): Promise<OpenVersion | undefined> {
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
      : pathCandidates(path).map((bytes) =>
          vault.reading.versions(view.agentId, fileIdFor(pathKey, bytes)),
        );
  for (const records of sources) {
    const meant = only(records, (record, slot) =>
      isVersion(id, commitHash(decodeSignedCommit(record.commit).header), slot),
    );
    for await (const version of openVersions(meant, kit, collector, agent, counting))
      found.push(version);
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

/** Records with only those of their versions that are meant. */
async function* only(
  records: AsyncIterable<StateRecord>,
  isMeant: (record: StateRecord, slot: number) => boolean,
) {
  for await (const record of records) {
    const kept = [...record.live.entries()].filter(([, slot]) => isMeant(record, slot));
    if (kept.length === 0) continue;
    yield {
      ...record,
      live: kept.map(([, slot]) => slot),
      versionTimesMs: kept.map(([index]) => record.versionTimesMs[index] ?? 0),
    };
  }
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
