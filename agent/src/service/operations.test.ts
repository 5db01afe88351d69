import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { nodeDisk } from '@aliquot/shared/derived/node-level';
import { systemRandom } from '@aliquot/shared/ports';
import { seededRandom } from '@aliquot/shared/testing/keys/fixtures';
import { NO_LINKS, NO_MODES, posixOnly } from '@aliquot/shared/testing/platform';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Bench, openBench, portWith, systemError } from '../../testing/capture/bench.ts';
import { noise } from '../../testing/queue/support.ts';
import { testIdentity, vault } from '../../testing/uplink/test-agent.ts';
import { TestCollector } from '../../testing/uplink/test-collector.ts';
import { systemCourtesy } from '../courtesy/system-courtesy.ts';
import { openDesk } from '../desk/open-desk.ts';
import type { Agent } from '../folder/agent.ts';
import { fixedSources } from '../folder/source-set.ts';
import type { AgentEvent, Request } from '../socket/protocol.ts';
import { fromText } from '../source/paths.ts';
import { nodeSource } from '../source/source-port.ts';
import { Diagnostics } from '../uplink/diagnosis-answer.ts';
import { TrustStore } from '../uplink/trust.ts';
import { WebSocketUplink } from '../uplink/ws-uplink.ts';
import { operate } from './operate.ts';

let bench: Bench;
let collector: TestCollector;
let agent: Agent;

const openAgentAt = async (url: string, selfRestore = true): Promise<Agent> => {
  const identity = testIdentity(url, selfRestore);
  const { queue, clock, own, problems } = bench;
  const trust = await TrustStore.open(nodeDisk, own, identity);
  const random = seededRandom('operations');
  const uplink = new WebSocketUplink({
    identity,
    queue,
    trust,
    clock,
    random,
    software: 'test 1',
  });
  const parts = {
    dataDir: own,
    ownFolders: [fromText(own, '/')],
    identity,
    software: 'test 1',
    queue,
    uplink,
    problems,
    references: bench.references,
    places: bench.places,
    underWay: bench.underWay,
    courtesy: systemCourtesy(undefined, clock),
    config: undefined,
    diagnostics: new Diagnostics(),
    desk: await openDesk(own, { port: nodeDisk, clock, random: systemRandom, identity }),
    clock,
    random: systemRandom,
    port: nodeDisk,
  };
  return { ...parts, host: bench.host, sources: fixedSources([]), close: () => uplink.stop() };
};

beforeEach(async () => {
  bench = await openBench();
  collector = new TestCollector(vault);
  agent = await openAgentAt(await collector.listen());
});
afterEach(async () => {
  await agent.uplink.stop();
  await collector.stop();
  await bench.close();
});

const at = (name: string) => join(bench.data, name);
const write = (name: string, content: string | Uint8Array) => writeFileSync(at(name), content);

/** The events of one operation, and the error it ended with. */
async function perform(
  request: Request,
  interrupt = new AbortController(),
  onProgress?: () => void,
): Promise<{
  events: AgentEvent[];
  summary: AgentEvent | undefined;
  code: string | undefined;
  message: string;
}> {
  const events: AgentEvent[] = [];
  let message = '';
  const emit = async (event: AgentEvent) => {
    if (event.event === 'progress') onProgress?.();
    else events.push(event);
  };
  const code = await operate(
    { ...agent, host: bench.host },
    undefined,
    request,
    emit,
    interrupt.signal,
  ).then(
    () => undefined,
    (error: { code?: string; message?: string }) => {
      message = error.message ?? '';
      return error.code ?? String(error);
    },
  );
  return { events, summary: events.find(({ event }) => event === 'summary'), code, message };
}

const backup = (over: Partial<Extract<Request, { op: 'backup' }>> = {}) =>
  perform({
    op: 'backup',
    paths: [bench.data],
    exclude: [],
    offline: false,
    dryRun: false,
    ...over,
  });
const restore = (paths: string[], to?: string) =>
  perform({ op: 'restore', paths, atMs: 0, ...(to === undefined ? {} : { to }) });

test('a backup ends with receipts, a heartbeat and a summary; a second one with nothing to commit too', async () => {
  write('a', noise('a', 200_000));
  const first = await backup();
  expect(first.code).toBeUndefined();
  expect(first.summary).toMatchObject({
    files: 1,
    newFiles: 1,
    bytes: 200_000,
    queued: 0,
    failed: 0,
    heartbeat: true,
  });
  expect(Number(first.summary?.['commits'])).toBeGreaterThan(0);
  expect(Number(first.summary?.['sentBytes'])).toBeGreaterThan(200_000);
  const second = await backup();
  expect(second.summary).toMatchObject({
    files: 1,
    newFiles: 0,
    unchanged: 1,
    queued: 0,
    failed: 0,
    commits: 0,
    heartbeat: true,
  });
  expect(Number(second.summary?.['sentBytes'])).toBeLessThan(2000);
});

test.runIf(posixOnly(NO_MODES))(
  'P6: what cannot be read is named, the rest is protected, and the backup ends in part',
  async () => {
    write('a', 'alpha');
    write('locked', 'x');
    bench.through(
      portWith({
        open: (path) => {
          if (path.toString().endsWith('/locked')) throw systemError('EACCES');
          return nodeSource.open(path);
        },
      }),
    );
    const { events, summary, code } = await backup();
    expect(code).toBe('PARTIAL');
    expect(events).toContainEqual(
      expect.objectContaining({ event: 'problem', path: at('locked'), code: 'unreadable' }),
    );
    expect(summary).toMatchObject({ files: 1, queued: 0, failed: 1 });
  },
);

test('a missing path is named beside one that is there; alone it is wrong usage', async () => {
  write('a', 'alpha');
  const both = await backup({ paths: [at('a'), at('nowhere')] });
  expect(both.code).toBe('PARTIAL');
  expect(both.summary).toMatchObject({ files: 1, failed: 1 });
  expect((await backup({ paths: [at('nowhere')] })).code).toBe('USAGE_INVALID');
  expect((await backup({ paths: [bench.own] })).code).toBe('USAGE_INVALID');
});

test('offline only queues, and flush sends it', async () => {
  write('a', 'alpha');
  const offline = await backup({ offline: true });
  expect(offline.code).toBeUndefined();
  expect(offline.summary).toMatchObject({ queued: 2, sentBytes: 0 });
  expect(collector.connections).toBe(0);
  const flushed = await perform({ op: 'flush' });
  expect(flushed.code).toBeUndefined();
  expect(flushed.summary).toMatchObject({ versions: 2, commits: 1, queued: 0 });
  expect((await perform({ op: 'flush' })).summary).toMatchObject({ versions: 0, commits: 0 });
});

test('with the collector away everything is queued, and the backup says that it is not safe', async () => {
  write('a', 'alpha');
  await collector.stop();
  const { summary, code } = await backup();
  expect(code).toBe('PARTIAL');
  expect(summary).toMatchObject({ queued: 2, failed: 0 });
});

test('a refusal that waiting does not mend ends the backup with its reason, after the summary', async () => {
  write('a', 'alpha');
  collector.refuse = {
    type: 'refused',
    requestId: 0,
    code: 'revoked',
    message: 'revoked by central IT',
  };
  const { summary, code } = await backup();
  expect(code).toBe('UPLINK_REVOKED');
  expect(summary).toMatchObject({ queued: 2 });
});

test('a dry run tells what would be captured and captures nothing', async () => {
  write('a', 'alpha');
  const { events, summary } = await backup({ dryRun: true });
  expect(
    events.filter(({ event }) => event === 'would').map(({ path, change }) => `${change} ${path}`),
  ).toEqual([`new ${bench.data}`, `new ${at('a')}`]);
  expect(summary).toMatchObject({ newFiles: 1, queued: 0 });
  expect(agent.queue.intake.pending().entries).toBe(0);
});

test('excluded files are left out, and are not gone when they were captured before', async () => {
  write('a.tmp', 'alpha');
  write('a.csv', 'beta');
  await backup();
  expect((await backup({ exclude: ['*.tmp'] })).summary).toMatchObject({
    files: 1,
    gone: 0,
    heartbeat: true,
  });
});

test('P6: a path of which the patterns leave nothing is a problem and no success, and ends with the pattern', async () => {
  write('a.tmp', 'alpha');
  const { events, code } = await backup({ exclude: ['*.tmp'] });
  expect(code).toBe('PARTIAL');
  expect(events).toContainEqual(
    expect.objectContaining({ event: 'problem', path: bench.data, code: 'all-excluded' }),
  );
  expect((await backup({ exclude: ['*.tmp'], dryRun: true })).code).toBe('PARTIAL');
  expect((await backup()).code).toBeUndefined();
  for await (const problem of bench.queue.ledger.problems()) expect(problem).toBeUndefined();
});

test('P6: a path whose backup was ended early stays named until a backup of it comes to its end', async () => {
  write('a', 'alpha');
  mkdirSync(at('sub'));
  const interrupt = new AbortController();
  const request: Request = {
    op: 'backup',
    paths: [at('a'), at('sub')],
    exclude: [],
    offline: false,
    dryRun: false,
  };
  const first = await perform(request, interrupt, () => interrupt.abort());
  expect([first.code, first.summary]).toEqual([
    'AGENT_INTERRUPTED',
    expect.objectContaining({ interrupted: true, failed: 2 }),
  ]);
  const named = async () =>
    (await perform({ op: 'status', results: false })).events.filter(
      ({ event }) => event === 'problem',
    );
  const problem = (path: string) =>
    expect.objectContaining({
      path,
      code: 'ended-early',
      message: expect.stringContaining(`backup ${path}`),
    });
  expect(await named()).toEqual([problem(at('a')), problem(at('sub'))]);
  expect((await backup({ paths: [at('a')] })).code).toBeUndefined();
  expect(await named()).toEqual([problem(at('sub'))]);
  expect((await backup()).code).toBeUndefined();
  expect(await named()).toEqual([]);
});

test('a name above the path is none of the pattern’s', async () => {
  write('a', 'alpha');
  expect((await backup({ exclude: ['data'] })).summary).toMatchObject({ files: 1 });
});

test('a dry run says what each pattern takes', async () => {
  mkdirSync(at('scratch'));
  write('scratch/x', 'x');
  write('a.tmp', 'alpha');
  write('a.csv', 'beta');
  const { events } = await backup({ exclude: ['*.tmp', 'scratch'], dryRun: true });
  expect(events.filter(({ event }) => event === 'excluded')).toEqual([
    { event: 'excluded', path: bench.data, pattern: '*.tmp', files: 1, folders: 0 },
    { event: 'excluded', path: bench.data, pattern: 'scratch', files: 0, folders: 1 },
  ]);
});

test('a pattern that can never match is refused with the reason, before anything is captured', async () => {
  write('a', 'alpha');
  for (const glob of ['/elsewhere/x', './a', '!a', 'a ']) {
    const { code, message, events } = await backup({ exclude: ['*.tmp', glob] });
    expect(code).toBe('USAGE_INVALID');
    expect(message).toContain(`--exclude "${glob}"`);
    expect(events).toEqual([]);
  }
});

test.runIf(posixOnly(NO_LINKS))(
  'a symbolic link that a person names brings what it leads to',
  async () => {
    mkdirSync(at('real'));
    write('real/x', 'x');
    symlinkSync('real', at('link'));
    expect((await backup({ paths: [at('link')] })).summary).toMatchObject({
      files: 1,
      links: 1,
      folders: 1,
    });
  },
);

test.runIf(posixOnly(NO_LINKS))(
  'P2: a restore below a folder gives back bytes, times, empty files and folders, links',
  async () => {
    mkdirSync(at('run/empty'), { recursive: true });
    write('run/data', noise('data', 3_000_000));
    write('run/zero', '');
    symlinkSync('data', at('run/link'));
    utimesSync(at('run/data'), 1_600_000_000.123, 1_600_000_000.123);
    await backup();
    // This collector answers with the first slot of each commit only: make it all of them.
    let commit = 0;
    collector.bend = (frame) => {
      if (frame.type !== 'commitData') return frame;
      commit += 1;
      return { ...frame, live: collector.slotsOf(commit - 1) };
    };
    const to = join(bench.own, '..', 'back');
    const { summary, code, events } = await restore([at('run')], to);
    expect(code).toBeUndefined();
    expect(summary).toMatchObject({ files: 2, links: 1, failed: 0 });
    expect(events).toContainEqual({ event: 'restored', path: at('run'), to });
    const back = join(to, at('run'));
    expect(readFileSync(join(back, 'data'))).toEqual(readFileSync(at('run/data')));
    expect(statSync(join(back, 'data')).mtimeMs).toBe(1_600_000_000_123);
    expect(readdirSync(back).sort()).toEqual(['data', 'empty', 'link', 'zero']);
  },
);

test('P4: a restore into the agent’s own folder is refused, and nothing is made there', async () => {
  write('a', 'alpha');
  await backup();
  const to = join(bench.own, 'inside');
  expect((await restore([at('a')], to)).code).toBe('RESTORE_FORBIDDEN_TARGET');
  expect(existsSync(to)).toBe(false);
});

for (const [what, op] of [
  ['flush', () => perform({ op: 'flush' })],
  ['backup of nothing new', () => backup()],
] as const) {
  test(`P5: a ${what} with an empty queue finds out that the collector was put back, and says when it is healed`, async () => {
    const before = collector.snapshot();
    write('a', 'alpha');
    await backup();
    await agent.uplink.stop();
    const lost = await collector.head();
    collector.putBack(before);
    expect((await op()).code).toBe('UPLINK_ROLLED_BACK');
    // Another process, that connects to nothing.
    await agent.uplink.stop();
    const later = await openAgentAt(`http://127.0.0.1:${collector.port}`);
    const events: AgentEvent[] = [];
    const request = { op: 'status', results: false } as const;
    await operate(
      later,
      undefined,
      request,
      async (event) => void events.push(event),
      new AbortController().signal,
    );
    expect(events[0]).toMatchObject({ event: 'status', service: 'stopped', rolledBack: true });
    await collector.reopen([lost]);
    const healed = await op();
    expect(healed.code).toBeUndefined();
    expect(healed.summary).toMatchObject({ queued: 0, failed: 0 });
    expect(agent.uplink.status().problem).toBeUndefined();
  });
}

test('P5: with somebody on the way who alters every session, a backup ends, names it, and keeps everything queued', async () => {
  collector.bendWire = (message, index) =>
    index < 2 ? message : Buffer.from(message.map((byte, at) => (at === 20 ? byte ^ 1 : byte)));
  write('a', noise('a', 50_000));
  const { summary, events, code, message } = await backup();
  expect(code).toBe('PARTIAL');
  expect(summary).toMatchObject({ queued: 2, failed: 0 });
  expect(message).toMatch(/altered|authentic/);
  expect(events.filter(({ event }) => event === 'note')).toEqual([]);
  collector.bendWire = (message) => message;
  expect((await backup()).summary).toMatchObject({ queued: 0 });
});

for (const [what, op] of [
  ['backup', () => backup()],
  ['flush', () => perform({ op: 'flush' })],
] as const) {
  test(`P6: while the collector's disk is full a ${what} ends after three sessions, with its words, and keeps everything queued`, async () => {
    write('a', noise('a', 50_000));
    await backup({ offline: true });
    collector.bend = (frame) =>
      frame.type === 'receipt'
        ? {
            type: 'refused',
            requestId: frame.requestId,
            code: 'storage',
            message: 'the disk is full',
          }
        : frame;
    const before = collector.connections;
    const { summary, events, code, message } = await op();
    expect(code).toBe('PARTIAL');
    expect(message).toMatch(
      /not yet safe: the collector refused \(storage\): the disk is full; try again later$/,
    );
    expect(collector.connections - before).toBe(3);
    expect(summary).toMatchObject({ queued: 2, failed: 0 });
    expect(events.filter(({ event }) => event === 'note')).toEqual([]);
    await agent.uplink.stop();
    collector.bend = (frame) => frame;
    expect((await perform({ op: 'flush' })).summary).toMatchObject({ queued: 0 });
  });
}

test('a flush of nothing without a collector says so, and is no failure', async () => {
  await collector.stop();
  const { events, code } = await perform({ op: 'flush' });
  expect(code).toBeUndefined();
  expect(events).toContainEqual(
    expect.objectContaining({
      event: 'note',
      message: expect.stringContaining('cannot be reached'),
    }),
  );
});

test('what was never backed up is named; a restore of nothing else fails and makes no folder', async () => {
  write('a', 'alpha');
  await backup();
  const to = join(bench.own, '..', 'back');
  const none = await restore([at('never')], to);
  expect(none.code).toBe('AGENT_NOT_BACKED_UP');
  expect(existsSync(to)).toBe(false);
  const some = await restore([at('a'), at('never')], to);
  expect(some.code).toBe('PARTIAL');
  expect(some.summary).toMatchObject({ files: 1, failed: 1 });
  rmSync(to, { recursive: true });
});

test('P4: where policy forbids self-restore the agent does not even ask', async () => {
  const connections = collector.connections;
  agent = await openAgentAt(`http://127.0.0.1:${collector.port}`, false);
  expect((await restore([at('a')])).code).toBe('AGENT_RESTORE_OFF');
  expect(collector.connections).toBe(connections);
});

test('P6: status counts results by state and names every problem', async () => {
  write('safe', 's');
  await backup();
  // A session of that backup would send what is only queued next.
  await agent.uplink.stop();
  write('queued', 'q');
  await backup({ offline: true });
  await agent.problems.set(fromText(at('locked'), '/'), { code: 'unreadable', message: 'locked' });
  await agent.queue.sync();
  const { events } = await perform({ op: 'status', results: true });
  expect(events[0]).toMatchObject({
    event: 'status',
    service: 'stopped',
    results: { total: 3, safe: 1, queued: 1, problem: 1 },
    problems: 1,
    lost: 0,
  });
  expect(events).toContainEqual(
    expect.objectContaining({ event: 'problem', path: at('locked'), message: 'locked' }),
  );
  expect(
    events.filter(({ event }) => event === 'result').map(({ state, path }) => `${state} ${path}`),
  ).toEqual([`queued ${at('queued')}`, `safe ${at('safe')}`, `problem ${at('locked')}`]);
});
