import { writeFile } from 'node:fs/promises';
import { createServer, request, type Server } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { SessionTestAgent } from '../../../testing/agent.ts';
import { aliquot } from '../../../testing/cli.ts';
import { ServedCollector } from '../../../testing/served.ts';

let served: ServedCollector;
let pc: SessionTestAgent;
const at = (name: string) => served.at(name);
const tried = (...args: string[]) => served.tried(...args);
const ok = (...args: string[]) => served.ok(...args);

const back = (paths: readonly string[], words: string) =>
  served.send(
    pc,
    paths.map((path) => ({ path, bytes: Buffer.from(words) })),
  );

/** As `aliquot policy set` does, of rules alone. */
async function setRules(...rules: readonly string[]): Promise<void> {
  const answer = await served.sendRules('lab', ...rules);
  expect([answer.status, await answer.text()]).toEqual([200, expect.any(String)]);
}

beforeAll(async () => {
  served = await ServedCollector.start();
  await served.addVault('lab');
  pc = await served.addPc('lab', 'hplc-1');
});

afterAll(() => served.end());

describe('I-C19 retention', () => {
  it('is looked at, held up, approved and undone; explain says the same with the kit and without', async () => {
    expect((await ok('retention', 'status')).stdout).toContain('No rules are set');
    await back(['/data/a', '/data/b'], 'first');
    await back(['/data/a'], 'second');
    await back(['/data/a'], 'third');
    await setRules('{match: {class: [raw]}, keep: all}', '{keep: {within: 7d}}');
    await served.wait(20);
    const simulated = (await ok('policy', 'simulate', '--json')).lines[0];
    expect(simulated).toMatchObject({ event: 'simulation', going: { versions: 2 }, unread: 0 });
    expect(simulated).toMatchObject({ kept: { newest: { versions: 2 } }, present: null });
    await writeFile(at('all.yaml'), 'retention:\n  rules:\n    - {keep: all}\n');
    const other = (await ok('policy', 'simulate', at('all.yaml'), '--json')).lines[0];
    expect(other).toMatchObject({ going: { versions: 0 }, present: { going: { versions: 2 } } });

    const dry = await tried('retention', 'run', '--dry-run', '--json');
    expect([dry.code, dry.lines[0]]).toEqual([3, expect.objectContaining({ event: 'dry-run' })]);
    const waits = await tried('retention', 'run');
    expect([waits.code, waits.stderr]).toEqual([3, expect.stringContaining('[PARTIAL]')]);
    expect(waits.stdout).toMatch(/Run 1 waits for a person.*\n.*of the vault/);
    const wrong = await tried('status', '--json');
    expect([wrong.code, wrong.lines[0]]).toEqual([
      1,
      expect.objectContaining({ problems: [expect.objectContaining({ code: 'retention-waits' })] }),
    ]);

    const nobody = await tried('retention', 'approve', '1');
    expect([nobody.code, nobody.stderr]).toEqual([2, expect.stringContaining('USAGE_MISSING')]);
    const add = ['operator', 'add', 'maria', '--kit', at('lab.kit'), '--out', at('maria.key')];
    expect((await tried(...add, '--purposes', 'retention', '--expires', '90d')).code).toBe(0);
    const none = await tried('retention', 'approve', '9', '--by', at('maria.key'));
    expect([none.code, none.stderr]).toEqual([1, expect.stringContaining('[COMMAND_RUN]')]);
    const approved = await ok('retention', 'approve', '1', '--by', at('maria.key'), '--json');
    expect(approved.lines[0]).toMatchObject({ type: 'expired', run: 2, versions: 2, approves: 1 });
    const status = (await ok('status', '--json')).lines[0];
    expect(status).toMatchObject({
      retention: { rulesSince: 1, waits: null, canUndo: [2] },
      collection: { paused: false, running: false, waitsFor: [] },
    });

    const explain = ['explain', '--agent', 'hplc-1', '--path', '/data/a', '--json'];
    const plain = (await ok(...explain)).lines;
    expect((await ok(...explain, '--kit', at('lab.kit'))).lines).toEqual(plain);
    expect(plain.map(({ expired, goesNow }) => [expired !== null, goesNow])).toEqual([
      [true, true],
      [true, true],
      [false, false],
    ]);
    expect(plain[2]).toMatchObject({ reasons: [{ reason: 'newest', until: null, over: false }] });
    const missing = await tried('explain', '--agent', 'hplc-1', '--path', '/data/none');
    expect([missing.code, missing.stderr]).toEqual([
      1,
      expect.stringContaining('[COMMAND_NO_SUCH_FILE]'),
    ]);

    await ok('retention', 'undo', '2');
    const back2 = (await ok(...explain)).lines[0];
    expect(back2).toMatchObject({ expired: null, goesNow: false });
    expect((await ok('retention', 'run', '--json')).lines[0]).toMatchObject({ type: 'nothing' });
    await served.wait(8);
    await ok('retention', 'undo', '2');
  });

  it('begins no run, and takes no rules, while the clock is held', async () => {
    await served.wait(40);
    const held = await tried('retention', 'run');
    expect([held.code, held.stderr]).toEqual([1, expect.stringContaining('[REST_CLOCK_HELD]')]);
    // Else the days until they act would be over as soon as the clock is confirmed.
    const refused = await served.sendRules('lab', '{keep: {within: 7d}}');
    expect([refused.status, await refused.json()]).toEqual([
      409,
      expect.objectContaining({ code: 'REST_CLOCK_HELD' }),
    ]);
    await ok('collector', 'clock', '--confirm');
    await ok('retention', 'run');
  });

  it('drops between the proof and the answer of a list: that is named as dropped, never as left out', async () => {
    await back(['/data/large'], 'x'.repeat(100_000));
    for (const words of ['c1', 'c2', 'c3']) await back(['/data/c'], words);
    await served.wait(20);
    expect((await ok('retention', 'run', '--json')).lines[0]).toMatchObject({ type: 'expired' });
    await served.wait(8);
    let dropped = 0;
    const between = await Between.open(served.url, async (path) => {
      if (!/\/versions\/[0-9a-f]{32}$/.test(path)) return;
      const { lines } = await tried('gc', 'run', '--json');
      dropped += Number(lines.at(-1)?.['versions']);
    });
    const versions = ['versions', '--agent', 'hplc-1', '--path', '/data/c', '--json'];
    const { token, clock } = served;
    const listed = await aliquot([...versions, '--kit', at('lab.kit')], {
      ...{ url: between.url, token, clock },
    });
    between.close();
    expect(dropped).toBeGreaterThan(0);
    expect(listed.stderr).toContain('the rules of retention have dropped versions in 2 commits');
    expect([listed.code, listed.lines]).toEqual([0, [expect.objectContaining({ size: 2 })]]);
  });
});

/** Stands before a collector, and lets something happen before it passes a question on. */
class Between {
  readonly #server: Server;

  private constructor(upstream: string, before: (path: string) => Promise<void>) {
    this.#server = createServer((asked, reply) => {
      const { url: path = '/', method, headers } = asked;
      void before(path).then(() => {
        const passed = request(`${upstream}${path}`, { method, headers }, (answer) => {
          reply.writeHead(answer.statusCode ?? 500, answer.headers);
          answer.pipe(reply);
        });
        asked.pipe(passed);
      });
    });
  }

  static async open(upstream: string, before: (path: string) => Promise<void>): Promise<Between> {
    const between = new Between(upstream, before);
    await new Promise<void>((resolve) => between.#server.listen(0, '127.0.0.1', resolve));
    return between;
  }

  get url(): string {
    const address = this.#server.address();
    return `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}`;
  }

  close(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }
}
