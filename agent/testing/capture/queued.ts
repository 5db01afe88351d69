/**
 * What waits in a bench's queue, as the next commit would say it. Nothing outside tests imports it.
 */

import type { Content, ReadPart } from '@aliquot/proto';
import { openPiece, proveSlab } from '@aliquot/shared/content/slab';
import type { CommitRequest } from '../../src/queue/outbox/outbox.ts';
import { separator } from '../../src/source/paths.ts';
import { testSigner } from '../queue/support.ts';
import type { Bench } from './bench.ts';

/** A file's draft. */
export interface QueuedFile {
  readonly content: Content;
  readonly read: ReadPart | undefined;
  readonly size: number;
}

/** The files of the next commit, by their paths below the watched folder, written with `/`. */
export async function queuedFiles({ queue, data }: Bench): Promise<Map<string, QueuedFile>> {
  const drafts = new Map<string, QueuedFile>();
  const signer = testSigner();
  await queue.outbox.nextCommit({
    ...signer,
    sign: (request: CommitRequest) => {
      for (const draft of request.rows) {
        if (!('kind' in draft) || draft.kind !== 'file') continue;
        const { list, content, read, size } = draft;
        const path = Buffer.from(list.path).toString();
        const name = path.slice(data.length + 1).replaceAll(separator, '/');
        drafts.set(name, { content, read, size });
      }
      return signer.sign(request);
    },
  });
  return drafts;
}

/** The content of a queued file, out of its slab. */
export async function queuedContent(
  { queue }: Bench,
  { content, read }: QueuedFile,
): Promise<Uint8Array> {
  const [ref] = content.refs;
  if (ref === undefined) return new Uint8Array();
  const item = await queue.items.readItem(ref.id);
  if (item?.kind !== 'slab') throw new Error('the queue does not have its slab');
  const slab = proveSlab(ref.id, item.sealed);
  return openPiece(slab, ref, content.piece, read?.keys[0] ?? new Uint8Array(32));
}
