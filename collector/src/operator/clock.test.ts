import { cp, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openBundle } from '@aliquot/shared/keys/bundle';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { WebSocket } from 'ws';
import { SessionTestAgent } from '../../testing/agent.ts';
import { aliquot, type CliResult, serving } from '../../testing/cli.ts';
import { writeWeakKit } from '../../testing/kits.ts';
import { socketWire } from '../../testing/wire.ts';
import { AGENT_PATH } from '../ingest/upgrade.ts';

const PASSPHRASE = 'correct horse battery staple';
const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const YEARS = 73 * 365 * DAY;

let dir: string;
let token: string;
/** By how much the clock of the collector's machine is off. */
let offMs: number;
let served: { url: string; stop: () => Promise<CliResult> } | undefined;
const kit = () => join(dir, 'lab.kit');
const clock = { nowMs: () => Date.now() + offMs };

async function serve(): Promise<string> {
  served = await serving(['--data', join(dir, 'col'), '--listen', '127.0.0.1:0'], { clock });
  return served.url;
}

/** Ends the collector, and answers with its log. */
async function unserve(): Promise<string> {
  const ended = await served?.stop();
  served = undefined;
  return ended?.stderr ?? '';
}

const operator = (url: string, ...args: string[]) =>
  aliquot(args, { url, token, state: join(dir, 'state') });
const year = (text: unknown) => new Date(String(text)).getUTCFullYear();
const now = () => new Date().getUTCFullYear();

async function backUp(url: string, agent: SessionTestAgent, content: string): Promise<void> {
  const wire = await socketWire(new WebSocket(url.replace('http', 'ws') + AGENT_PATH));
  await agent.open(wire);
  await agent.backUp([{ path: '/data/f', bytes: new Uint8Array(Buffer.from(content)) }]);
  wire.close();
  await wire.closed;
}

async function versionsOf(url: string): Promise<Record<string, unknown>[]> {
  const args = ['versions', '--agent', 'pc', '--path', '/data/f', '--kit', kit(), '--json'];
  const { lines } = await operator(url, ...args);
  return lines.filter(({ version }) => version !== undefined);
}

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'aliquot-clock-'));
  offMs = 0;
  vi.stubEnv('ALIQUOT_PASSPHRASE', PASSPHRASE);
  await aliquot(['init', '--data', join(dir, 'col')]);
  token = (await readFile(join(dir, 'col/admin.token'), 'utf8')).trim();
  await writeWeakKit(kit(), 'lab', PASSPHRASE);
});
afterEach(async () => {
  await unserve();
  vi.unstubAllEnvs();
  await rm(dir, { recursive: true });
});

async function enrolled(url: string): Promise<SessionTestAgent> {
  expect((await operator(url, 'vault', 'add', '--kit', kit())).code).toBe(0);
  const bundle = join(dir, 'pc.bundle');
  await operator(url, 'enroll', 'pc', '--kit', kit(), '--out', bundle);
  const agent = new SessionTestAgent(openBundle(await readFile(bundle, 'utf8'), Date.now()));
  await agent.enrol(url);
  return agent;
}

describe('a collector whose machine has a wrong clock', () => {
  it('gives receipts the last good time, says so, and is well again with the clock', async () => {
    let url = await serve();
    const agent = await enrolled(url);
    await backUp(url, agent, 'one');
    await unserve();

    offMs = YEARS;
    url = await serve();
    await backUp(url, agent, 'two');
    expect((await versionsOf(url)).map(({ time }) => year(time))).toEqual([now(), now()]);
    const problems = await operator(url, 'agents', '--problems');
    expect(problems).toMatchObject({ code: 1, stdout: expect.stringContaining('clock held') });
    const held = await operator(url, 'collector', 'clock', '--json');
    expect(held.lines).toMatchObject([{ event: 'clock', held: true }]);
    expect(year(held.lines[0]?.['time'])).toBe(now());
    expect(year(held.lines[0]?.['machine'])).toBeGreaterThan(now() + 71);
    expect(await unserve()).toContain('the time goes on from the last good one');

    offMs = 0;
    url = await serve();
    await backUp(url, agent, 'three');
    expect((await versionsOf(url)).map(({ time }) => year(time))).toEqual([now(), now(), now()]);
    expect((await operator(url, 'collector', 'clock')).stdout).toContain('as its machine says.');
    expect(await unserve()).not.toContain('the time goes on');
  });

  it('that jumps while it serves holds the time until an operator confirms, which the log records', async () => {
    let url = await serve();
    const agent = await enrolled(url);
    await backUp(url, agent, 'one');
    offMs = 40 * DAY;
    await backUp(url, agent, 'two');
    const confirmed = await operator(url, 'collector', 'clock', '--confirm', '--json');
    expect(confirmed).toMatchObject({ code: 0, lines: [{ event: 'clock', held: false }] });
    await backUp(url, agent, 'three');
    const times = (await versionsOf(url)).map(({ time }) => Date.parse(String(time)));
    expect(times.at(-1)).toBeGreaterThan((times[0] ?? 0) - DAY);
    expect((await operator(url, 'agents', '--problems')).stdout).not.toContain('clock held');
    // A start goes on from there; going back is another jump.
    await unserve();
    offMs = 0;
    url = await serve();
    expect((await operator(url, 'collector', 'clock')).stdout).toContain('held since');
    expect((await aliquot(['fsck', '--data', join(dir, 'col')], { url, token })).code).not.toBe(3);
  });

  it('does not wait for an agent that it heard in the future: when that was is unknown', async () => {
    let url = await serve();
    const agent = await enrolled(url);
    offMs = 100 * DAY;
    await operator(url, 'collector', 'clock', '--confirm');
    await backUp(url, agent, 'one');
    await unserve();
    offMs = 0;
    url = await serve();
    await operator(url, 'collector', 'clock', '--confirm');
    const [seen] = (await operator(url, 'agents', '--json')).lines.filter(
      ({ agent: name }) => name === 'pc',
    );
    expect(seen).toMatchObject({ agent: 'pc', lastSeen: null });
  });
});

describe('a stretch of time in which the clock of a collector was wrong', () => {
  const instant = (ms: number) => new Date(ms).toISOString();
  const contentAt = async (url: string, at: string) => {
    const args = ['cat', '--agent', 'pc', '--path', '/data/f', '--kit', kit(), '--at', at];
    return (await operator(url, ...args)).stdout;
  };
  const timesOf = async (url: string) =>
    (await versionsOf(url)).map(({ time }) => Date.parse(String(time)));
  /** What was received when the clock was 20 hours ahead, by what it said then. */
  let span = '';

  const correct = (url: string, by: string, ...args: string[]) => {
    const what = ['--correct', span, '--by', by, '--kit', kit(), '--json'];
    return operator(url, 'collector', 'clock', ...what, ...args);
  };

  /** Receives one, then two and three with the wrong clock, then four. Answers with when. */
  async function received(url: string, agent: SessionTestAgent): Promise<number[]> {
    const times: number[] = [];
    for (const [content, aheadMs] of [
      ['one', 0],
      ['two', 20 * HOUR],
      ['three', 20 * HOUR],
      ['four', 0],
    ] as const) {
      offMs = aheadMs;
      await backUp(url, agent, content);
      times.push(Date.now());
    }
    const first = times[0] ?? 0;
    span = `${instant(first + 10 * HOUR)}..${instant(first + 30 * HOUR)}`;
    return times;
  }

  /** Each version lies between the receipts of its own and the one before. */
  function expectBetween(times: readonly number[], whens: readonly number[]): void {
    expect(times).toHaveLength(whens.length);
    for (const [at, ms] of times.entries()) {
      expect(ms).toBeGreaterThan((whens[at - 1] ?? 0) - 1);
      expect(ms).toBeLessThanOrEqual(whens[at] ?? 0);
    }
  }

  it('is corrected by a signed word, which --at, alarms and every later start go by', async () => {
    let url = await serve();
    const agent = await enrolled(url);
    const whens = await received(url, agent);
    const wrong = await timesOf(url);
    expect(wrong.slice(2).every((ms) => ms > Date.now() + 19 * HOUR)).toBe(true);
    expect(await contentAt(url, 'now')).toBe('two');

    const shown = await correct(url, '-20h');
    expect(shown).toMatchObject({ code: 0, lines: [{ corrected: false, leaf: null }] });
    expect(shown.lines[0]).toMatchObject({ leaves: { commits: 2 } });
    expect(await timesOf(url)).toEqual(wrong);
    expect(await correct(url, '-20h', '--yes')).toMatchObject({
      code: 0,
      lines: [{ corrected: true, leaf: expect.any(Number) }],
    });

    const right = await timesOf(url);
    expectBetween(right, whens);
    for (const [at, content] of ['one', 'two', 'three', 'four'].entries())
      expect(await contentAt(url, instant(right[at] ?? 0))).toBe(content);
    const list = await operator(url, 'agents', '--json');
    const [seen] = list.lines.filter(({ agent: name }) => name === 'pc');
    expect(Date.parse(String(seen?.['lastSeen']))).toBeLessThanOrEqual(Date.now());
    await backUp(url, agent, 'five');
    expectBetween(await timesOf(url), [...whens, Date.now()]);

    const times = await timesOf(url);
    await unserve();
    const checked = await aliquot(['fsck', '--data', join(dir, 'col'), '--json']);
    expect([checked.code, checked.lines.filter(({ event }) => event === 'finding')]).toEqual([
      0,
      [],
    ]);
    for (const vault of await readdir(join(dir, 'col/vaults')))
      await rm(join(dir, 'col/vaults', vault, 'catalog'), { recursive: true });
    url = await serve();
    expect(await timesOf(url)).toEqual(times);
    expect((await operator(url, 'check', '--kit', kit())).code).toBe(0);
  });

  it('is as the newest word on it says, which may take the others back', async () => {
    const url = await serve();
    const agent = await enrolled(url);
    const whens = await received(url, agent);
    await correct(url, '-20h', '--yes');
    const right = await timesOf(url);
    expectBetween(right, whens);
    expect(await correct(url, '+0s', '--yes')).toMatchObject({ code: 0 });
    // Nothing that was received before a word on the clock counts as later than that.
    expect(Math.max(...(await timesOf(url)))).toBeLessThanOrEqual(Date.now());
    expect(await correct(url, '-20h', '--yes')).toMatchObject({ code: 0 });
    expect(await timesOf(url)).toEqual(right);
  });

  it('is corrected again when the log has lost that, and was opened again', async () => {
    let url = await serve();
    const whens = await received(url, await enrolled(url));
    await unserve();
    const [col, old] = [join(dir, 'col'), join(dir, 'old')];
    await cp(col, old, { recursive: true, preserveTimestamps: true });
    url = await serve();
    expect((await correct(url, '-20h', '--yes')).code).toBe(0);
    await unserve();
    await rm(col, { recursive: true });
    await cp(old, col, { recursive: true, preserveTimestamps: true });
    url = await serve();
    const lost = await operator(
      url,
      'versions',
      '--agent',
      'pc',
      '--path',
      '/data/f',
      '--kit',
      kit(),
    );
    expect(lost).toMatchObject({ code: 1, stderr: expect.stringContaining('WITNESS_ROLLED_BACK') });
    const reopened = await operator(url, 'log', 'reopen', '--kit', kit(), '--json');
    expect(reopened.lines).toContainEqual(
      expect.objectContaining({ event: 'decision', type: 'clockCorrected', applied: true }),
    );
    expectBetween(await timesOf(url), whens);
  });

  it('is named in one line where it cannot be corrected', async () => {
    const url = await serve();
    const agent = await enrolled(url);
    await received(url, agent);
    const right = span;
    const says = async (code: number, text: string, ...args: string[]) => {
      const { stderr, ...ended } = await operator(url, 'collector', 'clock', ...args);
      const [line, ...more] = stderr
        .trim()
        .split('\n')
        .filter((one) => !one.includes('means'));
      expect([args, ended.code, line, more]).toEqual([
        args,
        code,
        expect.stringContaining(text),
        [],
      ]);
    };
    const withKit = ['--kit', kit()];
    await says(2, '--by', '--correct', right, ...withKit);
    await says(2, '--by cannot be', '--correct', right, '--by', '20h', ...withKit);
    await says(2, 'FROM..TO', '--correct', '2026-11-01', '--by', '-20h', ...withKit);
    await says(2, 'belong to --correct', '--by', '-20h');
    await says(2, 'no recovery kit', '--correct', right, '--by', '-20h');
    await says(
      2,
      'nothing that was received',
      '--correct',
      '2001-01-01..2001-01-02',
      '--by',
      '-1h',
      ...withKit,
    );
    await says(2, 'all of it before', '--correct', right, '--by', '-30h', ...withKit);
    await writeWeakKit(join(dir, 'other.kit'), 'other', PASSPHRASE);
    await says(
      1,
      'COMMAND_VAULT',
      '--correct',
      right,
      '--by',
      '-20h',
      '--kit',
      join(dir, 'other.kit'),
    );
    offMs = 2 * HOUR;
    await says(1, 'COMMAND_CLOCK', '--correct', right, '--by', '-20h', '--yes', ...withKit);
    offMs = 0;
    await operator(url, 'collector', 'clock');
    offMs = 40 * DAY;
    await says(1, 'REST_CLOCK_HELD', '--correct', right, '--by', '-20h', '--yes', ...withKit);
    offMs = 0;
    const { lines } = await correct(url, '-20h', '--yes');
    const { from = '' } = (lines[0]?.['recorded'] ?? {}) as { from?: string };
    const part = `${right.split('..')[0]}..${from}`;
    await says(2, 'give that very span again', '--correct', part, '--by', '-20h', ...withKit);
  });
});
