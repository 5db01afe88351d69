import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { SessionTestAgent, TestFile } from '../../../testing/agent.ts';
import { DAY_MS, ServedCollector } from '../../../testing/served.ts';

/*
 * Somebody holds a PC and what it signs with, and wants the collector to let go of what it has: what
 * `collector/src/retention/attacks.test.ts` decides by the rules, through the collector that is served.
 */

const good = Buffer.from('the result');
const forged = Buffer.from('something else');
let served: ServedCollector;
let pc: SessionTestAgent;
const nowMs = () => served.clock.nowMs();
const tried = (...args: string[]) => served.tried(...args);
const ok = (...args: string[]) => served.ok(...args);
const send = (files: readonly TestFile[]) => served.send(pc, files);

const attacks = ['future', 'silent', 'flood', 'gone', 'class'] as const;
const pathOf = (attack: string) => `/data/${attack}.raw`;

/** Of the good states. */
const versions: string[] = [];

/** The good state of each file is there, and is the result. */
async function mustHaveAll(): Promise<void> {
  for (const version of versions) {
    const cat = ['cat', '--kit', served.kitOf('lab'), '--agent', 'hplc-1', '--version', version];
    expect((await ok(...cat)).stdout).toBe('the result');
  }
}

beforeAll(async () => {
  served = await ServedCollector.start();
  await served.addVault('lab');
  pc = await served.addPc('lab', 'hplc-1');
  await send(attacks.map((attack) => ({ path: pathOf(attack), bytes: good })));
  for (const attack of attacks) {
    const [first] = (await ok('versions', '--agent', 'hplc-1', '--path', pathOf(attack), '--json'))
      .lines;
    versions.push(String(first?.['version']));
  }
  const rules = [
    '{match: {class: [default]}, keep: {within: 30d}}',
    '{match: {class: [temporary]}, keep: {within: 7d}, gone: 7d}',
  ];
  expect((await served.sendRules('lab', ...rules)).status).toBe(200);
});

afterAll(() => served.end());

describe('P1 whoever holds a PC changes nothing that should be kept', () => {
  it('by any dates, numbers, deletions or classes, for the whole term after they came', async () => {
    await served.wait(40);
    // So long without a leaf: a person says that it is right.
    await ok('collector', 'clock', '--confirm');
    const path = pathOf('flood');
    await send([
      { path: pathOf('future'), bytes: forged, capturedAtMs: Date.UTC(2100, 0, 1) },
      { path: pathOf('gone') },
      { path: pathOf('class'), bytes: forged, class: 'temporary' },
    ]);
    await send([{ path: pathOf('class'), class: 'temporary' }]);
    // Into each of the forty silent days.
    for (let day = 0; day < 40; day += 1) {
      const capturedAtMs = nowMs() - (40 - day) * DAY_MS;
      await send([{ path: pathOf('silent'), bytes: forged, capturedAtMs }]);
    }
    const flood = (first: number) =>
      Array.from({ length: 2500 }, (_, number) => ({
        ...{ path, bytes: forged, mtimeNs: BigInt(first + number) },
        capturedAtMs: nowMs() + first + number,
      }));
    for (let first = 0; first < 10_000; first += 2500) await send(flood(first));
    expect((await ok('retention', 'run', '--json')).lines[0]).toMatchObject({ type: 'nothing' });
    await served.wait(25);
    // What the attacker sent himself, under the class that keeps little.
    const run = (await ok('retention', 'run', '--json')).lines[0];
    expect(run).toMatchObject({ type: 'expired', versions: 1 });
    await mustHaveAll();
    // The terms were those of the rules, not none: when they are over, it does go.
    await served.wait(10);
    const [simulated] = (await ok('policy', 'simulate', '--json')).lines;
    const going = simulated?.['going'] as { readonly versions: number } | undefined;
    expect(going?.versions).toBeGreaterThan(10_000);
  });

  it('nor by a clock of the collector that stands in 2036 for a minute', async () => {
    const before = served.aheadMs;
    await served.wait(10 * 365);
    await send([{ path: '/data/other.raw', bytes: good }]);
    const held = await tried('retention', 'run');
    expect([held.code, held.stderr]).toEqual([1, expect.stringContaining('[REST_CLOCK_HELD]')]);
    await served.stop();
    served.aheadMs = before;
    await served.serve();
    await mustHaveAll();
  });

  it('nor by the token alone: it takes no rules, lets no run pass and ends no hold', async () => {
    await ok('hold', 'add', 'audit', '--reason', 'audit');
    const refused = await Promise.all([
      tried('retention', 'approve', '1'),
      tried('hold', 'release', 'audit', '--reason', 'over'),
    ]);
    for (const { code, stderr } of refused)
      expect([code, stderr]).toEqual([2, expect.stringContaining('[USAGE_MISSING]')]);
    await served.writeKit('other');
    const answer = await served.sendRules('other', '{keep: {within: 7d}}');
    expect(answer.status).toBe(404);
    await mustHaveAll();
  });
});
