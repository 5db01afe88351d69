import { asChunkId, type Ref } from '@aliquot/proto';
import { sha256 } from '@aliquot/shared/crypto/primitives';
import { systemRandom } from '@aliquot/shared/ports';
import { bytesOf, commitOf, rubbishPage, submit, uploadAll } from './claims.ts';
import type { Attack, Siege } from './siege.ts';

const PAGE_REFS = 1024;
const INLINE_REFS = 32;

interface Chunk {
  readonly id: Ref['id'];
  readonly kind: 'chunk';
  readonly sealed: Uint8Array;
}

function chunksOf(count: number, bytes: number): Chunk[] {
  return Array.from({ length: count }, () => {
    const sealed = systemRandom.bytes(bytes);
    return { id: asChunkId(sha256(sealed)), kind: 'chunk', sealed };
  });
}

const refTo = ({ id }: Pick<Ref, 'id'>, plainSize: number): Ref => ({ id, plainSize, epoch: 1 });

/** What an agent's session is for, in a session of its own. */
async function inSession(
  { target, evil }: Siege,
  work: (agent: Siege['evil']) => Promise<string>,
): Promise<string> {
  const agent = evil.copy();
  agent.fork();
  agent.forkedFrom = undefined;
  await target.session(agent);
  return work(agent);
}

/** Commits that refer to much, or lack little. */
export const commitAttacks: readonly Attack[] = [
  {
    name: 'a-commit-that-lacks-one-chunk',
    about:
      'a commit over {} pages of 1,024 chunks each, of which every page lacks the same chunk, sent again and again',
    force: 300,
    run: (siege, force, midway) =>
      inSession(siege, async (agent) => {
        const chunks = chunksOf(PAGE_REFS - 1, 40);
        const [ghost] = chunksOf(1, 40);
        const refs = [...chunks, ...(ghost === undefined ? [] : [ghost])].map((one) =>
          refTo(one, 1),
        );
        const pages = Array.from({ length: force }, () => rubbishPage(0, refs));
        await uploadAll(agent, [...chunks, ...pages]);
        const made = commitOf(
          agent,
          Array.from({ length: Math.ceil(force / INLINE_REFS) }, (_, at) => ({
            path: `/data/${at}`,
            content: {
              depth: 1,
              refs: pages
                .slice(at * INLINE_REFS, (at + 1) * INLINE_REFS)
                .map((page) => refTo(page, page.plainSize)),
            },
          })),
        );
        let [attempts, isOver] = [0, false];
        const again = async (): Promise<void> => {
          while (!isOver) {
            const { type } = await submit(agent, made);
            if (type !== 'commitMissing') throw new Error(`${type} instead of commitMissing`);
            attempts += 1;
          }
        };
        const repeating = again();
        await midway();
        isOver = true;
        await repeating;
        return `${attempts} attempts were answered`;
      }),
  },
  {
    name: 'a-huge-commit',
    about: 'one version of {} chunks that say to be 256 KiB each',
    force: 400_000,
    run: (siege, force, midway) =>
      inSession(siege, async (agent) => {
        let level: Ref[] = [];
        for (let at = 0; at < force; at += PAGE_REFS) {
          const chunks = chunksOf(Math.min(PAGE_REFS, force - at), 1000);
          const page = rubbishPage(
            0,
            chunks.map((one) => refTo(one, 262_144)),
          );
          await uploadAll(agent, [...chunks, page]);
          level.push(refTo(page, page.plainSize));
        }
        let depth = 1;
        for (; level.length > INLINE_REFS; depth += 1) {
          const pages = Array.from({ length: Math.ceil(level.length / PAGE_REFS) }, (_, at) =>
            rubbishPage(depth, level.slice(at * PAGE_REFS, (at + 1) * PAGE_REFS)),
          );
          await uploadAll(agent, pages);
          level = pages.map((page) => refTo(page, page.plainSize));
        }
        const answer = submit(
          agent,
          commitOf(agent, [{ path: '/data/huge.raw', content: { depth, refs: level } }]),
        );
        await midway();
        const { type } = await answer;
        return `${(bytesOf(level) / 1e9).toFixed(0)} GB: ${type}`;
      }),
  },
];
