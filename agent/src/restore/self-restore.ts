import type { ChunkId } from '@aliquot/proto';
import { PartialError } from '@aliquot/shared/cli/errors';
import { formatInstant, pathText, printable } from '@aliquot/shared/cli/format';
import { pathCandidates } from '@aliquot/shared/cli/path-set';
import type { Unopened } from '@aliquot/shared/commit/open-names';
import { hex } from '@aliquot/shared/crypto/bytes';
import type { FolderId } from '@aliquot/shared/durable/held-folders';
import { whenForeseen } from '@aliquot/shared/durable/unexpected';
import { fileIdFor } from '@aliquot/shared/keys/derive';
import type { FetchedItem } from '@aliquot/shared/restore/arrivals';
import type { RestoreSummary } from '@aliquot/shared/restore/restore-files';
import { RestoreThreads } from '@aliquot/shared/restore/restore-threads';
import { folderIds } from '@aliquot/shared/restore/target-files';
import { RestoreWriter, type WriterOptions } from '@aliquot/shared/restore/writer';
import { defaultFolderResults } from '@aliquot/shared/settings/defaults';
import { sourceFor } from '../capture/scan.ts';
import type { Agent } from '../folder/agent.ts';
import { enrolmentOf } from '../identity/identity.ts';
import { AgentError } from '../socket/errors.ts';
import type { Emit, SelfRestoreRequest } from '../socket/protocol.ts';
import { type BytePath, bytePath, isWithin, pathBytes, separator } from '../source/paths.ts';
import { compileRules } from '../source/rules.ts';
import { connected } from '../uplink/reach.ts';
import { type OwnFile, ownFiles } from './own-files.ts';
import { OwnNewest } from './own-newest.ts';
import { withDropIn } from './refused.ts';
import { besideOf, newRestoredFolder } from './restored-folder.ts';
import { RestoredResult } from './restored-result.ts';

/**
 * `restore PATH…`: this PC's own files back, where its certificate allows that. With `to`, whole
 * paths below that folder; without, below a new folder `Restored from backup/<time>` beside the
 * source's root, which no source takes. What was deleted comes back as it was before.
 *
 * Events: `restored` for each named path with where it went (and when it was deleted; of a folder
 * result, whether it is whole), `problem` for each file that could not be given back, and one
 * `summary`. Throws `AGENT_RESTORE_OFF`, `AGENT_NOT_BACKED_UP` when nothing was found,
 * `PartialError` when not everything came.
 */
export async function selfRestore(
  agent: Agent,
  request: SelfRestoreRequest,
  emit: Emit,
  signal: AbortSignal,
): Promise<void> {
  const { identity, uplink, clock } = agent;
  if (!enrolmentOf(identity).selfRestore) {
    const says =
      'this PC may not fetch its own files back (enrolled with --no-self-restore); ask central IT to restore them';
    throw new AgentError('AGENT_RESTORE_OFF', says);
  }
  const startedMs = clock.nowMs();
  await connected(uplink, signal);
  const wanted = await Promise.all(request.paths.map((text) => namesOf(agent, text)));
  const total = { files: 0, bytes: 0, directories: 0, links: 0, same: 0, growing: 0, failed: 0 };
  const found = new Set<BytePath>();
  const earlier = new Set<BytePath>();
  const unopened = new Map<number, Unopened>();
  const keptBack = new Map<BytePath, number>();
  const watch = {
    onUnopened: (sequence: number, what: Unopened) => void unopened.set(sequence, what),
    onEarlier: (path: BytePath) => void earlier.add(path),
    onKeptBack: (path: BytePath, sequence: number) => void keptBack.set(path, sequence),
  };
  // One thread: the session that all comes over is this one's, and the PC has other work.
  const threads = new RestoreThreads<OwnRestoreBegin>(
    scriptUrl(import.meta.url.endsWith('.ts')),
    1,
  );
  const run = async (names: readonly BytePath[], atMs: number, deletedAtMs?: number) => {
    for (const [place, paths] of await placesFor(agent, names, request.to)) {
      const newest = await OwnNewest.read(agent.queue, identity, atMs);
      const files = ownFiles(uplink, identity, atMs, paths, watch, newest);
      const part = { paths, place, found, deletedAtMs, threads };
      add(total, await restoreOne(agent, files, part, emit, signal));
    }
  };
  const missing = () => wanted.filter((names) => !names.some((name) => found.has(name)));
  try {
    await run(wanted.flat(), request.atMs);
    if (request.atMs === 0) {
      for (const names of missing()) {
        const deletedAtMs = await deletionOf(agent, names);
        if (deletedAtMs !== undefined) await run(names, deletedAtMs - 1, deletedAtMs);
      }
    }
  } finally {
    await threads.close();
  }
  const reasons: string[] = [];
  for (const names of missing()) {
    total.failed += 1;
    const message = await whyNot(agent, names, request.atMs, earlier);
    const path = pathText(pathBytes(names[0] ?? ''));
    reasons.push(`${path} ${message}`);
    await emit({ event: 'problem', path, code: 'AGENT_NOT_BACKED_UP', message });
  }
  for (const [sequence, { versions, error }] of unopened) {
    total.failed += versions;
    const message = `holds ${versions} ${versions === 1 ? 'version' : 'versions'} that this PC cannot open: ${error.message}; central IT may, with the kit`;
    await emit({ event: 'problem', path: `commit ${sequence}`, code: error.code, message });
  }
  for (const [name, sequence] of keptBack) {
    total.failed += 1;
    const message = `was captured by this PC, with a receipt for its commit ${sequence}, and the collector does not show that version: the rules of retention or a purge let it go, or it lost it, or keeps it back; ask central IT`;
    const path = pathText(pathBytes(name));
    await emit({ event: 'problem', path, code: 'AGENT_KEPT_BACK', message });
  }
  await emit({
    event: 'summary',
    ...total,
    seconds: Math.max(0, clock.nowMs() - startedMs) / 1000,
  });
  if (found.size === 0)
    throw new AgentError(
      'AGENT_NOT_BACKED_UP',
      `nothing was restored: ${reasons.slice(0, 3).join('; ')}`,
    );
  if (total.failed > 0)
    throw new PartialError('PARTIAL', `${total.failed} could not be restored, each named above`);
}

/** When a path that is not there any more was found deleted, as this PC's own records have it. */
async function deletionOf(agent: Agent, names: readonly BytePath[]): Promise<number | undefined> {
  const newest = (await ownVersionsOf(agent, names)).at(-1);
  return newest?.kind === 'gone' ? newest.capturedAtMs : undefined;
}

function ownVersionsOf({ queue, identity }: Agent, names: readonly BytePath[]) {
  const fileIds = names.map((name) => fileIdFor(identity.pathKey, pathBytes(name)));
  return queue.outbox.ownVersions({ fileIds });
}

/** Why a path was not found, and how it can be asked for. */
async function whyNot(
  agent: Agent,
  names: readonly BytePath[],
  atMs: number,
  earlier: ReadonlySet<BytePath>,
): Promise<string> {
  const before = names.find((name) => earlier.has(name));
  const { name, replaces } = enrolmentOf(agent.identity);
  if (before !== undefined) {
    const path = printable(pathText(pathBytes(before)));
    return `was backed up by the PC that this one replaces: central IT gives it back, with aliquot restore --kit KIT --agent ${name} --path '${path}' --to DIR`;
  }
  const kept = (await ownVersionsOf(agent, names)).filter(({ kind }) => kind !== 'gone').length;
  if (kept > 0 && atMs === 0)
    return 'has versions on the way to the collector, or there under a time that --at can give; aliquot-agent versions PATH lists them';
  if (kept > 0)
    return 'has no version of that time; aliquot-agent versions PATH lists those that are kept';
  const replaced =
    replaces === undefined
      ? ''
      : '; what only the PC had that this one replaces, central IT gives back';
  return `was never backed up by this PC; check the spelling${replaced}`;
}

/**
 * What a person's path may be called: as it was typed, the bytes behind its \xNN, and each without
 * symbolic links on the way.
 */
async function namesOf({ port }: Agent, text: string): Promise<BytePath[]> {
  const names = pathCandidates(text).map(bytePath).map(withoutEnd);
  const real = await Promise.all(
    names.map((name) => port.realpath(pathBytes(name)).then(bytePath, whenForeseen(name))),
  );
  return [...new Set([...names, ...real])];
}

function withoutEnd(path: BytePath): BytePath {
  return path.length > 1 && path.endsWith(separator) && !path.endsWith(`:${separator}`)
    ? path.slice(0, -1)
    : path;
}

interface Place {
  readonly root: string | Buffer;
  readonly placement?: WriterOptions['placement'];
  /** For people. */
  shown(path: BytePath): string;
}

/** Where each of the paths goes; those that go below one folder stand together. */
async function placesFor(
  agent: Agent,
  names: readonly BytePath[],
  to: string | undefined,
): Promise<Map<Place, BytePath[]>> {
  if (to !== undefined) return new Map([[{ root: to, shown: () => to }, [...names]]]);
  const sources = agent.sources.now;
  const byBase = new Map<BytePath, BytePath[]>();
  for (const name of names) {
    const source = sourceFor(sources, name);
    const rules = compileRules({
      exclude: [],
      folderResults: source?.rules.folderResults ?? defaultFolderResults,
      leaveOut: [],
    });
    const base = besideOf(source?.root ?? name, rules);
    byBase.set(base, [...(byBase.get(base) ?? []), name]);
  }
  const places = new Map<Place, BytePath[]>();
  for (const [base, paths] of byBase) {
    const { placement, shown } = await newRestoredFolder(agent.port, base, agent.clock.nowMs());
    places.set(
      { root: pathBytes(base), placement, shown: (path) => pathText(pathBytes(shown(path))) },
      paths,
    );
  }
  return places;
}

interface Part {
  readonly paths: readonly BytePath[];
  readonly place: Place;
  /** Filled: which of the paths were there. */
  readonly found: Set<BytePath>;
  readonly deletedAtMs: number | undefined;
  readonly threads: RestoreThreads<OwnRestoreBegin>;
}

/** What the thread of a restore begins with. */
export interface OwnRestoreBegin {
  readonly vaultId: Uint8Array;
  readonly forbidden: readonly FolderId[];
}

const scriptUrl = (isSource: boolean): URL =>
  new URL(isSource ? './restore-thread.ts' : './restore-thread.js', import.meta.url);

/**
 * Restores what a stream names. Nothing is made, not even the target folder, when the stream is
 * empty.
 */
async function restoreOne(
  agent: Agent,
  files: AsyncGenerator<OwnFile, void, void>,
  { paths, place, found, deletedAtMs, threads }: Part,
  emit: Emit,
  signal: AbortSignal,
): Promise<RestoreSummary> {
  const first = await files.next();
  if (first.done === true)
    return { files: 0, bytes: 0, directories: 0, links: 0, same: 0, growing: 0, failed: 0 };
  const { root, placement, shown } = place;
  const forbidden = await folderIds(agent.port, [agent.dataDir]);
  const writer = await RestoreWriter.open({
    port: agent.port,
    random: agent.random,
    root,
    forbidden,
    ...(placement === undefined ? {} : { placement }),
  }).catch((error: unknown) => {
    throw withDropIn(error);
  });
  async function* items(): AsyncGenerator<OwnFile, void, void> {
    for (
      let step: IteratorResult<OwnFile, void> = first;
      step.done !== true;
      step = await files.next()
    ) {
      signal.throwIfAborted();
      for (const path of paths) {
        if (!isWithin(step.value.path, path)) continue;
        found.add(path);
        came.set(path, (came.get(path) ?? 0) + 1);
        folders.get(path)?.add(step.value.entry);
      }
      yield step.value;
    }
  }
  const folders = new Map(paths.map((path) => [path, new RestoredResult(agent, path)]));
  const told: Promise<void>[] = [];
  // What came of each named path: of one of which nothing came, it is not said that it was
  // restored.
  const came = new Map<BytePath, number>();
  const summary = await threads.restore(items(), {
    begin: { vaultId: agent.identity.descriptor.vaultId, forbidden },
    fetchItems: (ids) => fetched(agent, ids),
    revive: ({ code, message }) => new Error(`${message} [${code}]`),
    writer,
    onProgress: ({ files, bytes, path }) =>
      void emit({ event: 'progress', files, bytes, path: pathText(path) }),
    onFailure: (failed, reason) => {
      const { code, message } = withDropIn(reason) as typeof reason;
      for (const path of paths) {
        if (!isWithin(bytePath(failed), path)) continue;
        came.set(path, (came.get(path) ?? 0) - 1);
        folders.get(path)?.fail();
      }
      told.push(emit({ event: 'problem', path: pathText(failed), code, message }));
    },
  });
  await Promise.all(told);
  const deleted = deletedAtMs === undefined ? {} : { deletedAt: formatInstant(deletedAtMs) };
  for (const path of paths)
    if ((came.get(path) ?? 0) > 0)
      await emit({
        event: 'restored',
        path: pathText(pathBytes(path)),
        to: shown(path),
        ...deleted,
        ...(await folders.get(path)?.fields()),
      });
  return summary;
}

async function* fetched(
  { uplink }: Agent,
  ids: readonly ChunkId[],
): AsyncGenerator<FetchedItem, void, void> {
  // The collector answers in the order of its packs. `restoreFiles` reports what it does not have,
  // file by file.
  const came = new Map<string, Uint8Array>();
  for await (const item of uplink.fetch(ids))
    if ('bytes' in item) came.set(hex(item.id), item.bytes);
  for (const id of ids) {
    const bytes = came.get(hex(id));
    if (bytes !== undefined) yield { id, bytes };
  }
}

function add(total: Record<keyof RestoreSummary, number>, more: RestoreSummary): void {
  for (const name of Object.keys(more) as (keyof RestoreSummary)[]) total[name] += more[name];
}
