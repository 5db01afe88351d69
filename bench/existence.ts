/**
 * Whether the time of an answer shows that somebody else's content is here: `npm run build && node
 * --conditions=aliquot-source bench/existence.ts [--pairs 60] [--bytes 1000,65536,1000000]`.
 *
 * One agent has uploaded and committed some chunks. Another one, whose key was stolen, uploads a
 * chunk that the vault has and one that it has not, in an order drawn anew for each pair, and then
 * commits each. In how many pairs the one that is held was answered sooner: half of them is what a
 * guess gives. An item can be tried once by an agent: after that it is its own.
 */
import { parseArgs } from 'node:util';
import { asChunkId } from '@aliquot/proto';
import { sha256 } from '@aliquot/shared/crypto/primitives';
import { systemRandom } from '@aliquot/shared/ports';
import { stopPrograms } from '../demo/programs.ts';
import { commitOf, submit, uploadAll } from '../test/hostile/claims.ts';
import { HostileTarget } from '../test/hostile/target.ts';

const { values } = parseArgs({
  options: {
    pairs: { type: 'string', default: '60' },
    bytes: { type: 'string', default: '1000,65536,1000000' },
  },
});
const pairs = Number(values.pairs);

type Agent = Awaited<ReturnType<HostileTarget['agent']>>;
interface Chunk {
  readonly id: ReturnType<typeof asChunkId>;
  readonly kind: 'chunk';
  readonly sealed: Uint8Array;
}

function chunkOf(bytes: number): Chunk {
  const sealed = systemRandom.bytes(bytes);
  return { id: asChunkId(sha256(sealed)), kind: 'chunk', sealed };
}

const versionOf = ({ id, sealed }: Chunk, at: number) => ({
  path: `/data/${at}`,
  content: { depth: 0, refs: [{ id, plainSize: sealed.length, epoch: 1 }] },
});

/** Milliseconds until the credit for a chunk, until a question behind it, and until its receipt. */
async function timed(agent: Agent, chunk: Chunk, at: number): Promise<number[]> {
  const made = commitOf(agent, [versionOf(chunk, at)]);
  const began = performance.now();
  await uploadAll(agent, [chunk]);
  const credit = performance.now() - began;
  await agent.ask((requestId) => ({ type: 'have', requestId, ids: [chunk.id] }));
  const asked = performance.now() - began;
  const { type } = await submit(agent, made);
  if (type !== 'receipt') throw new Error(`${type} instead of a receipt`);
  return [credit, asked, performance.now() - began];
}

const target = await HostileTarget.open();
const honest = await target.agent('honest');
const evil = await target.agent('evil');
await target.session(honest);
await target.session(evil);
for (const bytes of values.bytes.split(',').map(Number)) {
  const held = Array.from({ length: pairs + 5 }, () => chunkOf(bytes));
  await uploadAll(honest, held);
  const made = commitOf(honest, held.map(versionOf));
  if ((await submit(honest, made)).type !== 'receipt') throw new Error('no receipt');
  const sooner = [0, 0, 0];
  const sums: [number[], number[]] = [[], []];
  for (const [at, known] of held.entries()) {
    const isHeldFirst = (systemRandom.bytes(1)[0] ?? 0) < 128;
    const unknown = chunkOf(bytes);
    const first = await timed(evil, isHeldFirst ? known : unknown, 2 * at);
    const second = await timed(evil, isHeldFirst ? unknown : known, 2 * at + 1);
    if (at < 5) continue;
    const [ofKnown, ofUnknown] = isHeldFirst ? [first, second] : [second, first];
    for (const step of [0, 1, 2])
      if ((ofKnown[step] ?? 0) < (ofUnknown[step] ?? 0)) sooner[step] = (sooner[step] ?? 0) + 1;
    sums[0].push(ofKnown[0] ?? 0);
    sums[1].push(ofUnknown[0] ?? 0);
  }
  const median = (list: number[]) => list.toSorted((a, b) => a - b)[list.length >> 1] ?? 0;
  console.log(
    `${bytes} bytes, ${pairs} pairs; what is held was answered sooner: credit ${sooner[0]}, a question behind it ${sooner[1]}, receipt ${sooner[2]}; ` +
      `credit ${median(sums[0]).toFixed(2)} ms against ${median(sums[1]).toFixed(2)} (medians)`,
  );
}
await target.close();
await stopPrograms();
