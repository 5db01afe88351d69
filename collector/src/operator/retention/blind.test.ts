import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { SessionTestAgent } from '../../../testing/agent.ts';
import { ServedCollector } from '../../../testing/served.ts';

let served: ServedCollector;
let pc: SessionTestAgent;
const ok = (...args: string[]) => served.ok(...args);

const HELD = '/data/trial-7/a.raw';
const OTHER = '/data/trial-8/b.raw';

const back = (words: string) =>
  served.send(
    pc,
    [HELD, OTHER].map((path) => ({ path, bytes: Buffer.from(words) })),
  );

const explain = async (path: string) =>
  (await ok('explain', '--agent', 'hplc-1', '--path', path, '--kit', served.kitOf('lab'), '--json'))
    .lines;

beforeAll(async () => {
  served = await ServedCollector.start();
  await served.addVault('lab', { blind: true });
  pc = await served.addPc('lab', 'hplc-1');
});

afterAll(() => served.end());

describe('I-C19 I-C20 a blind vault', () => {
  it('lets go by rules that know no names, keeps a whole PC for a hold by path, and once the kit has said which files, those', async () => {
    for (const words of ['first', 'second', 'third']) await back(words);
    expect((await served.sendRules('lab', '{keep: {within: 7d}}')).status).toBe(200);
    await ok('hold', 'add', 'trial-7', '--path', '/data/trial-7/**', '--reason', 'audit');
    await served.wait(20);
    const whole = (await ok('policy', 'simulate', '--json')).lines[0];
    expect(whole).toMatchObject({ going: { versions: 0 } });
    for (const path of [HELD, OTHER])
      expect((await explain(path))[0]).toMatchObject({
        reasons: expect.arrayContaining([expect.objectContaining({ reason: 'hold', over: false })]),
        goesNow: false,
      });
    await ok('hold', 'resolve', 'trial-7', '--kit', served.kitOf('lab'));
    const resolved = (await ok('policy', 'simulate', '--json')).lines[0];
    expect(resolved).toMatchObject({ going: { versions: 2 } });
    expect((await explain(HELD)).map(({ goesNow }) => goesNow)).toEqual([false, false, false]);
    expect((await explain(OTHER)).map(({ goesNow }) => goesNow)).toEqual([true, true, false]);
    await served.tried('retention', 'run');
    const approve = ['retention', 'approve', '1', '--kit', served.kitOf('lab'), '--json'];
    expect((await ok(...approve)).lines[0]).toMatchObject({ type: 'expired', versions: 2 });
    await served.wait(8);
    expect((await served.tried('gc', 'run', '--json')).lines.at(-1)).toMatchObject({
      event: 'summary',
      versions: 2,
    });
    expect(await explain(HELD)).toHaveLength(3);
    expect((await explain(OTHER)).map(({ event }) => event)).toEqual([
      'dropped',
      'dropped',
      'version',
    ]);
  });
});
