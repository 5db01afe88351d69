import { rmSync } from 'node:fs';
import { asChunkId, decodeSlab, encodeSlab, pieceOf, type SlabPiece } from '@aliquot/proto';
import { SealError } from '@aliquot/shared/content/errors';
import { openPiece, proveSlab } from '@aliquot/shared/content/slab';
import { hex } from '@aliquot/shared/crypto/bytes';
import { equalBytes, sha256 } from '@aliquot/shared/crypto/primitives';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { collect, putSlab, type SlabSample, sampleSlab } from '../../testing/queue/support.ts';
import { startAgent, type UplinkTestAgent, vault } from '../../testing/uplink/test-agent.ts';
import { TestCollector } from '../../testing/uplink/test-collector.ts';

/*
 * A collector in bad hands that holds slabs: what a PC that restores its own files gets of them.
 */

let collector: TestCollector;
let agent: UplinkTestAgent;
const one = sampleSlab(['/data/a', '/data/b', '/data/c']);
const two = sampleSlab(['/data/x', '/data/y', '/data/z']);
const itemOf = ([file]: readonly SlabSample[]) => {
  const [item] = file?.items ?? [];
  if (item === undefined) throw new Error('no slab');
  return item;
};

beforeEach(async () => {
  collector = new TestCollector(vault);
  agent = await startAgent(await collector.listen());
  for (const files of [one, two]) await putSlab(agent.queue, files);
  await agent.queue.sync();
  await agent.uplink.drained();
});

afterEach(async () => {
  await agent.close();
  rmSync(agent.dir, { recursive: true, force: true });
  await collector.stop();
});

/** Each file of a slab as it comes back: whole, or why it does not. */
async function comesBack(files: readonly SlabSample[]): Promise<string[]> {
  const [answer] = await collect(agent.uplink.fetch([itemOf(files).id]));
  if (answer === undefined || !('bytes' in answer)) return ['no slab'];
  return files.map(({ draft: { content, read } }) => {
    const [ref] = content.refs;
    if (ref === undefined) return 'no reference';
    try {
      const slab = proveSlab(asChunkId(ref.id), answer.bytes);
      const plain = openPiece(slab, ref, content.piece, read?.keys[0] ?? new Uint8Array(32));
      return equalBytes(sha256(plain), read?.sha256 ?? new Uint8Array(0)) ? 'whole' : 'another';
    } catch (error) {
      if (!(error instanceof SealError)) throw error;
      return error.code;
    }
  });
}

/** The collector gives these bytes under the id of the first slab. */
function give(bytes: Uint8Array): void {
  const held = collector.snapshot();
  held.items.set(hex(itemOf(one).id), { kind: 'slab', bytes });
  collector.putBack(held);
}

const sealed = itemOf(one).sealed;
const pieces = (bytes: Uint8Array): SlabPiece[] => {
  const slab = decodeSlab(bytes);
  return Array.from({ length: slab.count }, (_, at) => pieceOf(slab, at));
};
/** The same directory, with other bytes in the places of pieces, as long as those. */
const withBytes = (...from: readonly (Uint8Array | undefined)[]): Uint8Array => {
  const bytes = sealed.slice();
  for (const [at, other] of from.entries())
    if (other !== undefined) bytes.set(other, decodeSlab(sealed).places[at] ?? 0);
  return bytes;
};
const [a, b] = pieces(sealed).map((piece) => piece.sealed);
const [x] = pieces(itemOf(two).sealed).map((piece) => piece.sealed);

describe('P2 P5 of a slab that the collector', () => {
  test('gives as it was sent, all files come back', async () => {
    expect(await comesBack(one)).toEqual(['whole', 'whole', 'whole']);
  });

  test.each<[string, () => Uint8Array, readonly string[]]>([
    [
      'gives with pieces swapped within it, the others come back and those are named',
      () => withBytes(b, a),
      ['SEAL_ID_MISMATCH', 'SEAL_ID_MISMATCH', 'whole'],
    ],
    [
      'gives with a piece of another slab, the others come back and that one is named',
      () => withBytes(undefined, x),
      ['whole', 'SEAL_ID_MISMATCH', 'whole'],
    ],
    [
      'gives with a hole, the others come back and that one is named',
      () =>
        encodeSlab(
          pieces(sealed).map((one, at) => (at === 2 ? { ...one, sealed: undefined } : one)),
        ),
      ['whole', 'whole', 'SEAL_PIECE_MISSING'],
    ],
    ['gives another slab for, none comes back', () => itemOf(two).sealed, ['no slab']],
    ['has cut, none comes back', () => sealed.subarray(0, -1), ['no slab']],
    ['has doubled, none comes back', () => Buffer.concat([sealed, sealed]), ['no slab']],
    [
      'says of that a piece is missing which is there, none comes back',
      () => {
        // Form 1, all three of them marked as missing, and their bytes behind it.
        const directory = 8 + 35 * 3;
        const lied = Buffer.concat([
          ...[sealed.subarray(0, directory), Buffer.of(0), sealed.subarray(directory)],
        ]);
        lied.writeUInt8(1, 5);
        return lied;
      },
      ['no slab'],
    ],
    [
      'gives with lengths that lie, none comes back',
      () => {
        const lied = Buffer.from(sealed);
        // A byte from one piece to the next: together they are as long as before.
        lied.writeUIntBE(lied.readUIntBE(8, 3) + 1, 8, 3);
        lied.writeUIntBE(lied.readUIntBE(43, 3) - 1, 43, 3);
        return lied;
      },
      ['no slab'],
    ],
  ])('%s', async (_, bytes, expected) => {
    give(bytes());
    expect(await comesBack(one)).toEqual(expected);
    expect(await comesBack(two)).toEqual(['whole', 'whole', 'whole']);
  });
});
