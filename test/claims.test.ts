import type { SealedItem } from '@aliquot/shared/content/seal';
import { refOf, sealChunk } from '@aliquot/shared/content/seal';
import { systemRandom } from '@aliquot/shared/ports';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { SessionTestAgent } from '../collector/testing/agent.ts';
import { commitOf, type Keyed, submit, times, truePage, uploadAll } from './hostile/claims.ts';
import { HostileTarget } from './hostile/target.ts';

/** What whoever holds an agent's key claims, and who has to work for it. */

const MIB = 1024 ** 2;
let target: HostileTarget;
let evil: SessionTestAgent;

beforeAll(async () => {
  target = await HostileTarget.open();
  const honest = await target.agent('honest');
  await target.session(honest);
  await honest.backUp([{ path: '/data/honest', bytes: systemRandom.bytes(100_000) }]);
  evil = await target.agent('evil');
  await target.session(evil);
});

afterAll(() => target.close());

/** A mebibyte, and pages that name it 1,024 times, three levels of them. */
function endless(agent: SessionTestAgent): { items: SealedItem[]; levels: Keyed[] } {
  const chunk = sealChunk(agent.keys, new Uint8Array(MIB).fill(7));
  const items: SealedItem[] = [chunk];
  const levels: Keyed[] = [{ ref: refOf(chunk), key: chunk.key }];
  for (let depth = 0; depth < 3; depth += 1) {
    const below = levels.at(-1);
    if (below === undefined) throw new Error('no level');
    const page = truePage(agent, depth, times(1024, below));
    items.push(page.item);
    levels.push(page);
  }
  return { items, levels };
}

test('P2 P6 a check works for what is held, not for what is claimed: files of petabytes are proved by their pieces, and others whole', async () => {
  const { items, levels } = endless(evil);
  const [, gibibyte, , petabyte] = levels;
  if (gibibyte === undefined || petabyte === undefined) throw new Error('no level');
  // Many of them over one tree, each with a page of its own.
  const others = Array.from({ length: 50 }, (_, at) =>
    truePage(evil, 1, times(900 + at, gibibyte)),
  );
  await uploadAll(evil, [...items, ...others.map(({ item }) => item)]);
  const claims = [petabyte, ...others].map((one, at) => ({
    path: `/data/endless ${at}`,
    content: { depth: at === 0 ? 3 : 2, refs: [one.ref] },
    keys: [one.key],
  }));
  const wrong = { path: '/data/wrong', content: { depth: 3, refs: [petabyte.ref] } };
  expect((await submit(evil, commitOf(evil, claims))).type).toBe('receipt');

  const { world } = target;
  const check = (...more: string[]) =>
    world.tryAliquot(['check', '--kit', world.kit, '--json', ...more]);
  const first = await check();
  expect(first.code).toBe(0);
  expect(first.lines).toContainEqual(
    expect.objectContaining({ event: 'beyond', agent: 'evil', files: 51 }),
  );
  expect(first.lines).toContainEqual(
    expect.objectContaining({ event: 'summary', files: 1, failed: 0, beyond: 51 }),
  );
  expect((await check('--sample', '1%')).code).toBe(0);

  // What does not open is named there as well.
  expect((await submit(evil, commitOf(evil, [wrong]))).type).toBe('receipt');
  const second = await check();
  expect(second.code).toBe(1);
  expect(second.lines).toContainEqual(
    expect.objectContaining({ event: 'failed', agent: 'evil', path: '/data/wrong' }),
  );
});

test('P6 what all files of one agent may claim together is bounded and seen', async () => {
  const { levels } = endless(evil);
  const petabyte = levels.at(-1);
  if (petabyte === undefined) throw new Error('no level');
  const claims = Array.from({ length: 10 }, (_, at) => ({
    path: `/data/more ${at}`,
    content: { depth: 3, refs: [petabyte.ref] },
    keys: [petabyte.key],
  }));
  expect(await submit(evil, commitOf(evil, claims))).toMatchObject({
    type: 'refused',
    code: 'limit',
  });
  const problems = await target.problems('evil');
  expect(problems).toContainEqual(expect.objectContaining({ code: 'claims-much' }));
});
