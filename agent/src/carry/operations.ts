import { dirname } from 'node:path';
import { UsageError } from '@aliquot/shared/cli/errors';
import { pathText } from '@aliquot/shared/cli/format';
import { fileError } from '@aliquot/shared/durable/errors';
import type { Agent } from '../folder/agent.ts';
import { AgentError } from '../socket/errors.ts';
import type { Emit } from '../socket/protocol.ts';
import { bytePath, fromText, isWithin, pathBytes } from '../source/paths.ts';
import type { OnCarried } from './parts.ts';

/** Progress goes out no oftener than this many bytes apart. */
const TELL_EVERY_BYTES = 4 * 1024 * 1024;

/**
 * `queue export`: one `exported` event at the end. Errors: `USAGE_INVALID` for a place where
 * nothing may be written, and those of the disk.
 */
export async function exportToFile(
  agent: Agent,
  file: string,
  emit: Emit,
  signal: AbortSignal,
): Promise<void> {
  await refusePlace(agent, file);
  const { uplink, port } = agent;
  // Loaded here: a service that is never carried from does not hold it.
  const { exportQueue } = await import('./export-queue.ts');
  const summary = await uplink.instead((parts) => {
    throwIfItsTurnIsOver(signal);
    return exportQueue({ ...parts, port }, file, progressTo(emit), signal);
  });
  // What is not captured is in no queue, and does not go with it.
  const unprotected = agent.problems.size + agent.references.files;
  await emit({ event: 'exported', file, ...summary, unprotected });
}

/**
 * `queue import`: a `notice` event for each thing that the collector says, one `imported` at the
 * end. Errors: those of `importReceipts`.
 */
export async function importFromFile(
  { uplink, port }: Agent,
  file: string,
  emit: Emit,
  signal: AbortSignal,
): Promise<void> {
  const { importReceipts } = await import('./import-receipts.ts');
  const { notices, ...summary } = await uplink.instead((parts) => {
    throwIfItsTurnIsOver(signal);
    return importReceipts({ ...parts, port }, file, progressTo(emit));
  });
  for (const { message } of notices)
    await emit({ event: 'note', message: `the collector says: ${message}` });
  await emit({ event: 'imported', file, ...summary });
}

/** The one who asked may have gone while others carried. */
function throwIfItsTurnIsOver(signal: AbortSignal): void {
  if (signal.aborted)
    throw new AgentError('AGENT_INTERRUPTED', 'ended before its turn came; nothing was carried');
}

/** The agent writes neither into what it watches nor into its own folder. */
async function refusePlace({ ownFolders, sources, port }: Agent, file: string): Promise<void> {
  const folder = dirname(file);
  let real: Buffer;
  try {
    real = await port.realpath(folder);
  } catch (error) {
    throw fileError('write to', folder, error);
  }
  for (const place of [fromText(file, '/'), bytePath(real)]) {
    const own = ownFolders.find((own) => isWithin(place, own));
    if (own !== undefined)
      throw new UsageError(
        'USAGE_INVALID',
        `${file} lies in the agent’s own folder; choose another, such as a stick’s`,
      );
    const source = sources.now.find(({ root }) => isWithin(place, root));
    if (source === undefined) continue;
    const root = pathText(pathBytes(source.root));
    throw new UsageError(
      'USAGE_INVALID',
      `${file} lies in ${root}, which is backed up and never written to; choose another folder`,
    );
  }
}

function progressTo(emit: Emit): OnCarried {
  let told = 0;
  return ({ commits, bytes, totalBytes }) => {
    if (bytes < told + TELL_EVERY_BYTES) return;
    told = bytes;
    void emit({
      event: 'progress',
      commits,
      bytes,
      ...(totalBytes === undefined ? {} : { totalBytes }),
    });
  };
}
