import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { PartialError, UsageError } from '@aliquot/shared/cli/errors';
import { nodeFiles } from '@aliquot/shared/durable/file-port';
import { canHold } from '@aliquot/shared/durable/held-name';
import { posixOnly } from '@aliquot/shared/testing/platform';
import { nextUncaught } from '@aliquot/shared/testing/uncaught';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { AgentError } from './errors.ts';
import type { AgentEvent, Operation, Request } from './protocol.ts';
import { askService } from './socket-client.ts';
import { isTrusted } from './socket-owner.ts';
import { type SocketPlace, socketPlace } from './socket-path.ts';
import { type LocalSocket, listenLocally } from './socket-server.ts';

let folder: string;
let place: SocketPlace;
let open: LocalSocket | undefined;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'aq-'));
  place = {
    platform: process.platform,
    runtimeDir: undefined,
    tmpDir: folder,
    uid: process.getuid?.(),
  };
});
afterEach(async () => {
  await open?.close();
  open = undefined;
  rmSync(folder, { recursive: true, force: true });
});

const request: Request = { op: 'status', results: false };
const serve = async (run: Operation) => {
  open = await listenLocally(nodeFiles, folder, place, run);
};
const ask = async () => {
  const events: AgentEvent[] = [];
  const served = await askService(folder, place, request, async (event) => void events.push(event));
  return { served, events };
};

test('events come in order and the command ends when the service is done', async () => {
  await serve(async (got, emit) => {
    expect(got).toEqual(request);
    for (let n = 0; n < 3000; n += 1) await emit({ event: 'n', n, text: 'x'.repeat(100) });
  });
  const { served, events } = await ask();
  expect(served).toBe(true);
  expect(events.map(({ n }) => n)).toEqual([...Array(3000).keys()]);
});

test('without a service the caller is told to open the folder itself', async () => {
  expect((await ask()).served).toBe(false);
});

test.runIf(posixOnly('a pipe of Windows goes with its process'))(
  'a dead service’s socket file is no service, and the next one takes its place',
  async () => {
    await serve(async () => undefined);
    const path = open?.path ?? '';
    await open?.close();
    writeFileSync(path, '');
    await expect(ask()).resolves.toMatchObject({ served: false });
    await serve(async () => undefined);
    expect((await ask()).served).toBe(true);
  },
);

for (const [what, error, expected] of [
  [
    'a partial success',
    new PartialError('PARTIAL', 'some failed'),
    { code: 'PARTIAL', message: 'some failed' },
  ],
  [
    'wrong usage',
    new UsageError('USAGE_INVALID', 'nothing there'),
    { code: 'USAGE_INVALID', message: 'nothing there' },
  ],
  [
    'a failure',
    new AgentError('AGENT_RESTORE_OFF', 'ask central IT'),
    { code: 'AGENT_RESTORE_OFF', message: 'ask central IT' },
  ],
] as const) {
  test(`${what} reaches the command as the same error`, async () => {
    await serve(async () => {
      throw error;
    });
    await expect(ask()).rejects.toMatchObject(expected);
  });
}

test('a fault of ours reaches the command, and ends the service', async () => {
  const uncaught = nextUncaught();
  const fault = new TypeError('oops');
  await serve(async () => {
    throw fault;
  });
  await expect(ask()).rejects.toMatchObject({ code: 'UNEXPECTED', message: 'oops' });
  expect(await uncaught).toBe(fault);
});

/**
 * Serves one operation that goes on until `finish`, and a question at once; `ended` resolves with
 * whether it was told to end.
 */
async function longOperation() {
  const started = Promise.withResolvers<void>();
  const finish = Promise.withResolvers<void>();
  const ended = Promise.withResolvers<boolean>();
  let isStarted = false;
  await serve(async ({ op }, emit, signal) => {
    if (op === 'status' && isStarted) return;
    isStarted = true;
    started.resolve();
    await Promise.race([
      finish.promise,
      new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve())),
    ]);
    await emit({ event: 'summary' });
    ended.resolve(signal.aborted);
    if (signal.aborted) throw new AgentError('AGENT_INTERRUPTED', 'stopped');
  });
  return { started: started.promise, finish: finish.resolve, ended: ended.promise };
}

/** Sends one line and goes away silently once `before` has come. */
async function sendAndVanish(line: object, before: Promise<void>): Promise<void> {
  const socket = connect(open?.path ?? '');
  socket.write(`${JSON.stringify(line)}\n`);
  await before;
  const closed = once(socket, 'close');
  socket.destroy();
  await closed;
}

test('a question ends when the command that asked has gone', async () => {
  const { started, ended } = await longOperation();
  await sendAndVanish(request, started);
  expect(await ended).toBe(true);
});

const works: readonly Request[] = [
  { op: 'backup', paths: ['/data'], exclude: [], offline: false, dryRun: false },
  { op: 'flush' },
  { op: 'queueExport', file: '/media/stick/q' },
  { op: 'queueImport', file: '/media/stick/r' },
  { op: 'restore', paths: ['/data'], atMs: 0 },
];

for (const work of works) {
  test(`${work.op} that was begun is finished, though the command that asked has gone`, async () => {
    const { started, finish, ended } = await longOperation();
    await sendAndVanish(work, started);
    await ask(); // served after it, so the service has seen that connection close
    finish();
    expect(await ended).toBe(false);
  });

  test(`${work.op} is told to end by whoever started it, and its answer still comes`, async () => {
    const { started, ended } = await longOperation();
    const interrupt = new AbortController();
    const events: AgentEvent[] = [];
    const asked = askService(
      folder,
      place,
      work,
      async (event) => void events.push(event),
      interrupt.signal,
    );
    asked.catch(() => undefined);
    await started;
    interrupt.abort();
    expect(await ended).toBe(true);
    await expect(asked).rejects.toMatchObject({ code: 'AGENT_INTERRUPTED' });
    expect(events).toEqual([{ event: 'summary' }]);
  });
}

test('a service that stops tells running operations to end', async () => {
  let started: () => void = () => undefined;
  const running = new Promise<void>((resolve) => {
    started = resolve;
  });
  await serve((_, __, signal) => {
    started();
    return new Promise((_resolve, reject) =>
      signal.addEventListener('abort', () =>
        reject(new AgentError('AGENT_INTERRUPTED', 'stopped')),
      ),
    );
  });
  const asked = ask();
  asked.catch(() => undefined);
  await running;
  await open?.close();
  await expect(asked).rejects.toMatchObject({
    code: expect.stringMatching(/AGENT_(INTERRUPTED|SERVICE_GONE)/),
  });
});

test('a request that this release does not know is refused, and the service goes on', async () => {
  await serve(async () => undefined);
  for (const line of ['not json', '{"op":"format"}', '{"op":"flush","extra":1}']) {
    const answer = await new Promise<string>((resolve) => {
      let text = '';
      const socket = connect(open?.path ?? '', () => socket.write(`${line}\n`));
      socket.on('data', (data) => {
        text += data.toString();
      });
      socket.on('close', () => resolve(text));
    });
    expect(answer).toContain('AGENT_SERVICE_PROTOCOL');
  }
  expect((await ask()).served).toBe(true);
});

test.runIf(posixOnly('a pipe of Windows lies in no folder'))(
  'P4: only the owner can enter the socket’s folder, even if it was open before',
  async () => {
    const { path } = socketPlace(folder, place);
    mkdirSync(dirname(path));
    chmodSync(dirname(path), 0o755);
    await serve(async () => undefined);
    expect(statSync(dirname(path)).mode & 0o777).toBe(0o700);
  },
);

test.runIf(posixOnly('a pipe of Windows lies in no folder'))(
  'where folders cannot be held, a data path too long for a socket gets a short one in the user’s own folder',
  () => {
    const long = `/srv/${'very-long-name/'.repeat(10)}data`;
    const other: SocketPlace = {
      platform: 'freebsd',
      runtimeDir: '/run/user/7',
      tmpDir: '/tmp',
      uid: 7,
    };
    expect(socketPlace('/srv/a', other)).toEqual({
      path: '/srv/a/run/agent.sock',
      folder: '/srv/a/run',
    });
    const short = socketPlace(long, other);
    expect(short.folder).toBe('/run/user/7/aliquot-7');
    expect(short.path.length).toBeLessThan(100);
    expect(socketPlace(`${long}2`, other).path).not.toBe(short.path);
    expect(socketPlace(long, { ...other, runtimeDir: undefined }).folder).toBe('/tmp/aliquot-7');
    expect(socketPlace('C:\\x', { ...other, platform: 'win32' })).toMatchObject({
      path: expect.stringMatching(/^\\\\\.\\pipe\\aliquot-agent-/),
      folder: undefined,
    });
  },
);

test.runIf(canHold)(
  'P4: a service answers in its data folder, however long its path is',
  async () => {
    const long = join(folder, 'very-long-name'.repeat(9), 'data');
    mkdirSync(long, { recursive: true, mode: 0o700 });
    expect(socketPlace(long, place).path).toBe(join(long, 'run/agent.sock'));
    const served = await listenLocally(nodeFiles, long, place, async ({ op }, emit) =>
      emit({ event: 'told', op }),
    );
    const events: unknown[] = [];
    const request = { op: 'flush' } as const;
    expect(await askService(long, place, request, async (event) => void events.push(event))).toBe(
      true,
    );
    expect(events).toEqual([{ event: 'told', op: 'flush' }]);
    await served.close();
    expect(readdirSync(join(long, 'run'))).toEqual([]);
    expect(await askService(long, place, request, async () => undefined)).toBe(false);
  },
);

test.runIf(process.geteuid?.() === 0)(
  'P4: neither root’s service nor root’s command takes a socket folder that another user made',
  async () => {
    const { folder: run } = socketPlace(folder, place);
    if (run === undefined) throw new Error('there is a folder');
    mkdirSync(run, { mode: 0o755 });
    chownSync(run, 65_534, 65_534);
    chmodSync(folder, 0o777);
    const refused = { code: 'AGENT_SOCKET_FOLDER' };
    await expect(
      listenLocally(nodeFiles, folder, place, async () => undefined),
    ).rejects.toMatchObject(refused);
    const flush = { op: 'flush' } as const;
    await expect(askService(folder, place, flush, async () => undefined)).rejects.toMatchObject(
      refused,
    );
    // As when sudo hands on the runtime folder of whoever called it.
    expect(await isTrusted(nodeFiles, run)).toBe(false);
    expect(statSync(run).mode & 0o777).toBe(0o755);
    chmodSync(folder, 0o700);
    // What root alone can have handed over, as below /run.
    expect(await isTrusted(nodeFiles, run)).toBe(true);
    // Who has the data folder may have the socket, too.
    chmodSync(folder, 0o777);
    chownSync(folder, 65_534, 65_534);
    expect(await isTrusted(nodeFiles, run, folder)).toBe(true);
  },
);
