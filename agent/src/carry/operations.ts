import { dirname } from 'node:path';
import { UsageError } from '@aliquot/shared/cli/errors';
import { pathText } from '@aliquot/shared/cli/format';
import { fileError } from '@aliquot/shared/durable/errors';
import type { Agent } from '../folder/agent.ts';
import type { Emit } from '../socket/protocol.ts';
import { bytePath, fromText, isWithin, pathBytes } from '../source/paths.ts';
import type { OnCarried } from './parts.ts';
import { carryTurn } from './turn.ts';

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
  const { uplink } = agent;
  const summary = await carryTurn(uplink).carry(
    () => uplink.exportQueue(file, progressTo(emit), signal),
    signal,
  );
  // What is not captured is in no queue, and does not go with it.
  const unprotected = agent.problems.size + agent.references.files;
  await emit({ event: 'exported', file, ...summary, unprotected });
}

/**
 * `queue import`: a `notice` event for each thing that the collector says, one `imported` at the
 * end. Errors: those of `importReceipts`.
 */
export async function importFromFile(
  { uplink }: Agent,
  file: string,
  emit: Emit,
  signal: AbortSignal,
): Promise<void> {
  const { notices, ...summary } = await carryTurn(uplink).carry(
    () => uplink.importReceipts(file, progressTo(emit)),
    signal,
  );
  for (const { message } of notices)
    await emit({ event: 'note', message: `the collector says: ${message}` });
  await emit({ event: 'imported', file, ...summary });
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
