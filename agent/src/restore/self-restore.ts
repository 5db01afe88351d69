import type { ChunkId } from '@aliquot/proto';
import { PartialError } from '@aliquot/shared/cli/errors';
import { pathText } from '@aliquot/shared/cli/format';
import type { Unopened } from '@aliquot/shared/commit/open-names';
import { exists, joinRaw } from '@aliquot/shared/durable/durable';
import type { FetchedItem, RestoreSummary } from '@aliquot/shared/restore/restore-files';
import { restoreFiles } from '@aliquot/shared/restore/restore-files';
import { besideName, besidePlacement, hostPlatform, splitOriginal } from '@aliquot/shared/restore/target';
import { RestoreWriter, type WriterOptions } from '@aliquot/shared/restore/writer';
import { type BytePath, bytePath, fromText, isWithin, pathBytes } from '../capture/paths.ts';
import { enrolmentOf } from '../identity/identity.ts';
import type { Agent } from '../service/agent.ts';
import { AgentError } from '../service/errors.ts';
import type { Emit, RestoreRequest } from '../service/protocol.ts';
import { connected } from '../service/reach.ts';
import { type OwnFile, ownFiles } from './own-files.ts';

/**
 * `restore PATH…`: this PC's own files back, where its certificate allows that. With `to`, whole paths below that folder;
 * without, each named path beside its original under a name that says when, never over it.
 *
 * Events: `restored` for each named path with where it went, `problem` for each file that could not be given back, and one
 * `summary`. Throws `AGENT_RESTORE_OFF`, `AGENT_NOT_BACKED_UP` when nothing was found, `PartialError` when not everything came.
 */
export async function selfRestore(agent: Agent, request: RestoreRequest, emit: Emit, signal: AbortSignal): Promise<void> {
  const { identity, uplink, clock } = agent;
  if (!enrolmentOf(identity).selfRestore) {
    const says = 'this PC may not fetch its own files back (enrolled with --no-self-restore); ask central IT to restore them';
    throw new AgentError('AGENT_RESTORE_OFF', says);
  }
  const startedMs = clock.nowMs();
  await connected(uplink, signal);
  const wanted = await Promise.all(request.paths.map((text) => namesOf(agent, fromText(text, '/'))));
  const total = { files: 0, bytes: 0, directories: 0, links: 0, same: 0, growing: 0, failed: 0 };
  const found = new Set<BytePath>();
  const unopened = new Map<number, Unopened>();
  const run = async (paths: readonly BytePath[], place: (unit: BytePath) => Promise<Place>) => {
    const files = ownFiles(uplink, identity, request.atMs, paths, (sequence, what) => unopened.set(sequence, what));
    add(total, await restoreOne(agent, files, paths, place, found, emit, signal));
  };
  const { to } = request;
  if (to !== undefined) {
    await run(wanted.flat(), async () => ({ root: to, shown: to }));
  } else {
    for (const unit of wanted.flat()) await run([unit], (path) => beside(agent, path));
  }
  const missing = wanted.filter((names) => !names.some((name) => found.has(name)));
  for (const [path = ''] of missing) {
    total.failed += 1;
    await emit({ event: 'problem', path: pathText(pathBytes(path)), code: 'AGENT_NOT_BACKED_UP', message: notBackedUp(request.atMs) });
  }
  for (const [sequence, { versions, error }] of unopened) {
    total.failed += versions;
    const message = `holds ${versions} ${versions === 1 ? 'version' : 'versions'} that this PC cannot open: ${error.message}; central IT may, with the kit`;
    await emit({ event: 'problem', path: `commit ${sequence}`, code: error.code, message });
  }
  await emit({ event: 'summary', ...total, seconds: Math.max(0, clock.nowMs() - startedMs) / 1000 });
  if (found.size === 0)
    throw new AgentError('AGENT_NOT_BACKED_UP', `nothing was restored: ${request.paths.join(', ')} ${notBackedUp(request.atMs)}`);
  if (total.failed > 0) throw new PartialError(`${total.failed} could not be restored, each named above`);
}

function notBackedUp(atMs: number): string {
  return atMs === 0 ? 'is not among this PC’s backed-up files; check the spelling' : 'is not among this PC’s backed-up files of that time';
}

/** A path as it was typed, and as it is called without symbolic links on the way, if that is another name. */
async function namesOf({ port }: Agent, path: BytePath): Promise<BytePath[]> {
  const real = await port.realpath(pathBytes(path)).then(bytePath, () => path);
  return real === path ? [path] : [path, real];
}

interface Place {
  readonly root: string | Buffer;
  readonly placement?: WriterOptions['placement'];
  /** For people. */
  readonly shown: string;
}

async function beside({ port, clock }: Agent, unit: BytePath): Promise<Place> {
  const { folder, name } = splitOriginal(hostPlatform, pathBytes(unit));
  for (let attempt = 1; ; attempt += 1) {
    const newName = besideName(name, clock.nowMs(), attempt);
    const target = joinRaw(folder, newName);
    if (await exists(port, target)) continue;
    return { root: folder, placement: besidePlacement(hostPlatform, pathBytes(unit), newName), shown: pathText(Buffer.from(target)) };
  }
}

/** Restores what a stream names. Nothing is made, not even the target folder, when the stream is empty. */
async function restoreOne(
  agent: Agent,
  files: AsyncGenerator<OwnFile, void, void>,
  paths: readonly BytePath[],
  place: (unit: BytePath) => Promise<Place>,
  found: Set<BytePath>,
  emit: Emit,
  signal: AbortSignal,
): Promise<RestoreSummary> {
  const first = await files.next();
  if (first.done === true) return { files: 0, bytes: 0, directories: 0, links: 0, same: 0, growing: 0, failed: 0 };
  const unit = paths[0] ?? first.value.path;
  const { root, placement, shown } = await place(unit);
  const writer = await RestoreWriter.open({
    port: agent.port,
    random: agent.random,
    root,
    forbidden: [agent.dataDir],
    ...(placement === undefined ? {} : { placement }),
  });
  async function* items(): AsyncGenerator<OwnFile, void, void> {
    for (let step: IteratorResult<OwnFile, void> = first; step.done !== true; step = await files.next()) {
      signal.throwIfAborted();
      for (const path of paths) if (isWithin(step.value.path, path)) found.add(path);
      yield step.value;
    }
  }
  const told: Promise<void>[] = [];
  const summary = await restoreFiles({
    vaultId: agent.identity.descriptor.vaultId,
    items: items(),
    fetchChunks: (ids) => fetched(agent, ids),
    writer,
    onProgress: ({ files, bytes, path }) => void emit({ event: 'progress', files, bytes, path: pathText(path) }),
    onFailure: (path, error) => told.push(emit({ event: 'problem', path: pathText(path), code: error.code, message: error.message })),
  });
  await Promise.all(told);
  for (const path of paths) if (found.has(path)) await emit({ event: 'restored', path: pathText(pathBytes(path)), to: shown });
  return summary;
}

async function* fetched({ uplink }: Agent, ids: readonly ChunkId[]): AsyncGenerator<FetchedItem, void, void> {
  // What the collector does not have is told by restoreFiles, file by file.
  for await (const item of uplink.fetch(ids)) if ('bytes' in item) yield { id: item.id, bytes: item.bytes };
}

function add(total: Record<keyof RestoreSummary, number>, more: RestoreSummary): void {
  for (const name of Object.keys(more) as (keyof RestoreSummary)[]) total[name] += more[name];
}
