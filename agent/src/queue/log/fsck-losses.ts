import { pathText } from '@aliquot/shared/cli/format';
import type { RecordReader } from '@aliquot/shared/records/reader';
import { decodeLostReference } from './chain-payloads.ts';
import type { LostReason } from './facts.ts';
import type { ChainKind } from './formats.ts';
import { note, type QueueFinding } from './fsck-finding.ts';
import { decodeLostRecord } from './lost-payloads.ts';
import { type FilesOptions, openLogs, queuePaths } from './open-queue.ts';
import { decodeCounter } from './payloads.ts';

const kinds: ReadonlySet<ChainKind> = new Set(['lost', 'referenceLost', 'lostSeen']);

/**
 * What was lost and nobody has acknowledged yet: a note each, for it is named and cannot be mended.
 * From the chain log alone: a running service has the index, and an index may have to be made
 * again.
 */
export async function* lossFindings(
  options: FilesOptions,
): AsyncGenerator<QueueFinding, void, void> {
  const where = queuePaths(options.dataDir).chain;
  const { segments, chain } = await openLogs(options);
  try {
    for (const { path, why } of (await unacknowledged(chain)).values()) {
      if (why === 'growing-torn') continue; // another state than one thought, but not gone
      const what =
        path === undefined ? 'a version is lost' : `a version of ${pathText(path)} is lost`;
      const remedy = 'tell central IT, then run aliquot-agent status with --acknowledge-lost';
      yield note('FSCK_VERSION_LOST', what, where, remedy);
    }
  } finally {
    await segments.close();
    await chain.close();
  }
}

/** Why versions are lost, and of which file, by their numbers. */
type Listed = Map<
  number,
  { readonly path: Uint8Array | undefined; readonly why: 'version' | LostReason }
>;

async function unacknowledged(chain: RecordReader<ChainKind>): Promise<Listed> {
  const listed: Listed = new Map();
  const take = (kind: ChainKind) => (kinds.has(kind) ? 'give' : 'skip');
  for await (const item of chain.scan(undefined, { take })) {
    if (item.type !== 'record' || item.payload === undefined) continue;
    const { payload } = item;
    switch (item.header.kind) {
      case 'lost':
        for (const { entry, path } of decodeLostRecord(payload).entries)
          listed.set(entry, { path: path.length === 0 ? undefined : path, why: 'version' });
        break;
      case 'referenceLost': {
        const { entry, ...lost } = decodeLostReference(payload);
        listed.set(entry, lost);
        break;
      }
      case 'lostSeen': {
        const through = decodeCounter(payload);
        for (const entry of listed.keys()) if (entry <= through) listed.delete(entry);
        break;
      }
      default:
    }
  }
  return listed;
}
