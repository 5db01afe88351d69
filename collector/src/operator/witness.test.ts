import {
  cp,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { createServer, request as httpRequest } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { encodeClientFrame, encodeFrame } from '@aliquot/proto';
import { carriedBytes } from '@aliquot/shared/carry/carried-file';
import { signCarried, signQuestion } from '@aliquot/shared/carry/statements';
import { openBundle } from '@aliquot/shared/keys/bundle';
import { NO_LINKS, posixOnly } from '@aliquot/shared/testing/platform';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { WebSocket } from 'ws';
import { SessionTestAgent } from '../../testing/agent.ts';
import { aliquot, type CliResult, serving } from '../../testing/cli.ts';
import { writeWeakKit } from '../../testing/kits.ts';
import { socketWire } from '../../testing/wire.ts';
import { usualStateFolder } from '../environment.ts';
import { AGENT_PATH } from '../ingest/upgrade.ts';

const PASSPHRASE = 'correct horse battery staple';
let dir: string;
let token: string;
const running = new Map<string, { url: string; stop: () => Promise<CliResult> }>();
const kit = () => join(dir, 'lab.kit');
const bytes = (text: string) => new Uint8Array(Buffer.from(text));

/** Serves a copy of the collector's folder; all copies have one identity. */
async function serve(name: string): Promise<string> {
  const served = await serving(['--data', join(dir, name), '--listen', '127.0.0.1:0']);
  running.set(name, served);
  return served.url;
}

async function unserve(name: string): Promise<void> {
  await running.get(name)?.stop();
  running.delete(name);
}

const copy = (from: string, to: string) =>
  cp(join(dir, from), join(dir, to), { recursive: true, preserveTimestamps: true });

/** An operator with a memory of its own. */
const operator =
  (state: string) =>
  (url: string, ...args: string[]) =>
    aliquot(args, { url, token, state: join(dir, state) });
const nobody = (url: string, ...args: string[]) => aliquot(args, { url, token });

async function enrolled(url: string, name: string): Promise<SessionTestAgent> {
  const bundle = join(dir, `${name}.bundle`);
  expect(await nobody(url, 'enroll', name, '--kit', kit(), '--out', bundle)).toMatchObject({
    code: 0,
  });
  const agent = new SessionTestAgent(openBundle(await readFile(bundle, 'utf8'), Date.now()));
  await agent.enrol(url);
  return agent;
}

/** One session in which the agent backs up files, each in a commit of its own. */
async function backUp(url: string, agent: SessionTestAgent, ...names: string[]): Promise<void> {
  const wire = await socketWire(new WebSocket(url.replace('http', 'ws') + AGENT_PATH));
  await agent.open(wire);
  for (const name of names) await agent.backUp([{ path: `/data/${name}`, bytes: bytes(name) }]);
  wire.close();
  await wire.closed;
}

/**
 * Two copies of one collector that went on apart: `true` holds what agent a sent, `false` what
 * agent b sent.
 */
async function forked(): Promise<{ a: SessionTestAgent; b: SessionTestAgent }> {
  const url = await serve('first');
  const a = await enrolled(url, 'hplc-a');
  const b = await enrolled(url, 'hplc-b');
  await backUp(url, a, 'both');
  await unserve('first');
  await copy('first', 'second');
  await backUp(await serve('first'), a, 'only first 1', 'only first 2');
  await backUp(await serve('second'), b, 'only second 1', 'only second 2', 'only second 3');
  return { a, b };
}

/** A relay before the collector; `held` runs when an answer is there and not handed on yet. */
async function relay(
  target: (path: string) => string,
  held: (path: string) => Promise<void> = async () => undefined,
) {
  const server = createServer((incoming, outgoing) => {
    const path = incoming.url ?? '/';
    const passed = httpRequest(
      new URL(path, target(path)),
      { method: incoming.method, headers: incoming.headers },
      async (answer) => {
        await held(path);
        outgoing.writeHead(answer.statusCode ?? 500, answer.headers);
        answer.pipe(outgoing);
      },
    );
    incoming.pipe(passed);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () => server.close(),
  };
}

/** The file of an operator's only witness. */
async function memoryOf(state: string): Promise<string> {
  const [file] = await readdir(join(dir, state, 'witness'));
  return join(dir, state, 'witness', file ?? '');
}

/** A carried queue that holds a question only. */
async function carriedQueue(agent: SessionTestAgent): Promise<string> {
  const { bundle, binding, signKey, chainId } = agent;
  const none = {
    treeHead: undefined,
    signedHead: undefined,
    signedHeadCertificate: undefined,
    addressesRevision: 0,
    settingsSequence: 0,
  };
  const question = signQuestion(
    { enrolment: bundle.signedEnrolment, binding, software: 'test', chainId, ...none },
    signKey,
  );
  async function* frames(): AsyncGenerator<Uint8Array, void, void> {
    yield encodeFrame(encodeClientFrame(question));
  }
  const pieces: Uint8Array[] = [];
  for await (const piece of carriedBytes('queue', frames(), (digest) =>
    signCarried('queue', signKey, digest),
  ))
    pieces.push(piece);
  await writeFile(join(dir, 'pc.queue'), Buffer.concat(pieces));
  return join(dir, 'pc.queue');
}

const at = (name: string) => running.get(name)?.url ?? '';

beforeEach(async () => {
  vi.stubEnv('ALIQUOT_PASSPHRASE', PASSPHRASE);
  dir = await mkdtemp(join(tmpdir(), 'aliquot-witness-'));
  expect(await aliquot(['init', '--data', join(dir, 'first')])).toMatchObject({ code: 0 });
  token = (await readFile(join(dir, 'first', 'admin.token'), 'utf8')).trim();
  const url = await serve('first');
  await writeWeakKit(kit(), 'lab', PASSPHRASE);
  expect(await nobody(url, 'vault', 'add', '--kit', kit())).toMatchObject({ code: 0 });
  await unserve('first');
});

afterEach(async () => {
  for (const name of [...running.keys()]) await unserve(name);
  await rm(dir, { recursive: true, force: true });
  vi.unstubAllEnvs();
});

describe('an operator as witness', () => {
  it('P5 keeps the newest head that it was shown, as signed, and demands its continuation from then on', async () => {
    const me = operator('me');
    const url = await serve('first');
    const a = await enrolled(url, 'hplc-a');
    const first = await me(url, 'log', 'status', '--json');
    expect(first.lines[0]).toMatchObject({ witness: { continues: true } });
    await backUp(url, a, 'one', 'two');
    expect((await me(url, 'agents')).stderr).toBe('');
    const [file] = await readdir(join(dir, 'me', 'witness'));
    const kept = JSON.parse(await readFile(join(dir, 'me', 'witness', file ?? ''), 'utf8'));
    const { lines } = await me(url, 'log', 'status', '--json');
    expect(kept).toMatchObject({
      version: 1,
      newest: { size: lines[0]?.['size'], root: lines[0]?.['root'] },
    });
    expect(lines[0]).toMatchObject({ witness: { before: { size: kept.newest.size } } });
    expect((await me(url, 'log', 'status')).stdout).toContain(
      `continues a log of ${kept.newest.size} leaves`,
    );
  });

  it('P5 names a collector that was put back, with both heads, on every command, and heals it though no agent has come yet', async () => {
    const me = operator('me');
    let url = await serve('first');
    const a = await enrolled(url, 'hplc-a');
    await backUp(url, a, 'one');
    await unserve('first');
    await copy('first', 'second');
    url = await serve('first');
    await backUp(url, a, 'two', 'three');
    expect(await me(url, 'stats')).toMatchObject({ code: 0 });
    const had = (await me(url, 'log', 'status', '--json')).lines[0];
    await unserve('first');

    url = await serve('second');
    for (const args of [
      ['agents'],
      ['stats'],
      ['ls'],
      ['check', '--kit', kit()],
      ['log', 'status'],
    ]) {
      const refused = await me(url, ...args);
      expect(refused.code).toBe(1);
      expect(refused.stderr).toContain('WITNESS_ROLLED_BACK');
      expect(refused.stderr).toContain(
        `a log of ${had?.['size']} leaves (epoch 1, root ${String(had?.['root']).slice(0, 16)})`,
      );
      expect(refused.stderr).toMatch(
        new RegExp(`shows a log of ${Number(had?.['size']) - 2} leaves`),
      );
    }
    expect((await me(url, 'log', 'status', '--json')).lines[0]).toMatchObject({
      witness: { continues: false, code: 'WITNESS_ROLLED_BACK' },
    });
    // Anyone who has seen nothing can tell nothing.
    expect(await operator('new')(url, 'stats')).toMatchObject({ code: 0 });

    const healed = await me(url, 'log', 'reopen', '--kit', kit(), '--json');
    expect(healed.lines[0]).toMatchObject({
      event: 'reopened',
      opened: true,
      lostUpTo: had?.['size'],
    });
    expect((await me(url, 'agents')).stderr).toBe('');
    expect((await me(url, 'log', 'status', '--json')).lines[0]).toMatchObject({
      witness: { continues: true },
      logEpoch: 2,
    });
  });

  it('P5 names a collector that shows it two histories, and does not forget when the first is shown again', async () => {
    const me = operator('me');
    await forked();
    expect((await me(at('first'), 'agents')).stderr).toBe('');
    const size = Number((await me(at('first'), 'log', 'status', '--json')).lines[0]?.['size']);
    const refused = await me(at('second'), 'agents');
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain('WITNESS_FORKED');
    expect(refused.stderr).toContain(`a log of ${size} leaves`);
    expect(refused.stderr).toContain(`a log of ${size + 1} leaves`);

    const again = await me(at('first'), 'agents');
    expect(again.code).toBe(0);
    expect(again.stderr).toContain('beware');
    expect((await me(at('first'), 'log', 'status', '--json')).lines[0]).toMatchObject({
      witness: { continues: true, before: { size }, contradicted: { size: size + 1 } },
    });
    expect((await me(at('first'), 'log', 'reopen', '--kit', kit())).stderr).toContain(
      'has not seen the last leaf',
    );
    expect((await me(at('first'), 'agents')).stderr).toBe('');
  });

  it('P5 finds in what agents were shown that the log it sees is another one: check holds heads in commits and receipts against it', async () => {
    await forked();
    // Data of one history, proofs of the other: the collector tells agents and operators two
    // stories.
    const { url, close } = await relay((path) =>
      at(path.endsWith('/log/proofs') ? 'second' : 'first'),
    );
    try {
      expect(await nobody(at('first'), 'check', '--kit', kit())).toMatchObject({ code: 0 });
      const found = await nobody(url, 'check', '--kit', kit(), '--json');
      expect(found.code).toBe(1);
      expect(found.stderr).toContain('WITNESS_FORKED');
      // Both heads of agent a that only the first history has are named; the file of before the
      // fork accuses nobody.
      const named = found.lines
        .filter((line) => line['event'] === 'forked')
        .map((line) => String(line['message']));
      expect(named.join('\n')).toMatch(
        /hplc-a in the receipt of commit 3 holds a log of \d+ leaves .* shown a log of \d+ leaves/,
      );
      expect(named.join('\n')).not.toContain('commit 1');
      expect(found.lines.at(-1)).toMatchObject({
        event: 'summary',
        files: 3,
        failed: 0,
        forked: named.length,
      });
    } finally {
      close();
    }
  });

  it('P5 a command that looked earlier does not forget the further head that another one kept meanwhile', async () => {
    const me = operator('me');
    const a = await enrolled(await serve('first'), 'hplc-a');
    await me(at('first'), 'stats');
    await backUp(at('first'), a, 'one');
    let further = '';
    const { url, close } = await relay(
      () => at('first'),
      async (path) => {
        if (!path.endsWith('/log/proofs') || further !== '') return;
        further = 'under way';
        await backUp(at('first'), a, 'two');
        expect(await me(at('first'), 'stats')).toMatchObject({ code: 0 });
        further = await readFile(await memoryOf('me'), 'utf8');
      },
    );
    try {
      expect(await me(url, 'stats')).toMatchObject({ code: 0, stderr: '' });
      expect(further).toContain('newest');
      expect(JSON.parse(await readFile(await memoryOf('me'), 'utf8')).newest).toMatchObject({
        size: JSON.parse(further).newest.size,
      });
    } finally {
      close();
    }
  });

  it('P5 a command that looked earlier does not drop the second history that another one was told meanwhile', async () => {
    const me = operator('me');
    const { a } = await forked();
    await me(at('first'), 'agents');
    await backUp(at('first'), a, 'later');
    const { url, close } = await relay(
      () => at('first'),
      async (path) => {
        if (path.endsWith('/log/proofs'))
          expect((await me(at('second'), 'agents')).stderr).toContain('WITNESS_FORKED');
      },
    );
    try {
      expect(await me(url, 'agents')).toMatchObject({ code: 0 });
      expect(JSON.parse(await readFile(await memoryOf('me'), 'utf8'))).toHaveProperty(
        'contradicted',
      );
      expect((await me(at('first'), 'agents')).stderr).toContain('beware');
    } finally {
      close();
    }
  });

  it.runIf(posixOnly(NO_LINKS))(
    'P6 writes nothing over a memory that it cannot read, and says so',
    async () => {
      const me = operator('me');
      const url = await serve('first');
      await me(url, 'stats');
      const memory = await memoryOf('me');
      await rm(memory);
      await symlink(memory, memory);
      const warned = await me(url, 'stats');
      expect(warned.code).toBe(0);
      expect(warned.stderr).toContain('nothing is written over it');
      expect((await lstat(memory)).isSymbolicLink()).toBe(true);
    },
  );

  it('P5 brings no carried queue to a collector that was put back', async () => {
    const me = operator('me');
    const a = await enrolled(await serve('first'), 'hplc-a');
    await unserve('first');
    await copy('first', 'second');
    await backUp(await serve('first'), a, 'one');
    await me(at('first'), 'stats');
    const queue = await carriedQueue(a);
    const receipts = join(dir, 'receipts');
    const refused = await me(await serve('second'), 'queue', 'import', queue, '--out', receipts);
    expect(refused).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('WITNESS_ROLLED_BACK'),
    });
    await expect(lstat(receipts)).rejects.toMatchObject({ code: 'ENOENT' });
    expect(await me(at('first'), 'queue', 'import', queue, '--out', receipts)).toMatchObject({
      code: 0,
    });
  });

  it('P6 says when its memory is damaged or cannot be kept; the latter stops no command', async () => {
    const me = operator('me');
    const url = await serve('first');
    await me(url, 'stats');
    const [file] = await readdir(join(dir, 'me', 'witness'));
    await writeFile(join(dir, 'me', 'witness', file ?? ''), '{"version":1}');
    const refused = await me(url, 'stats');
    expect(refused).toMatchObject({ code: 1 });
    expect(refused.stderr).toContain('WITNESS_DAMAGED');
    await mkdir(join(dir, 'taken'));
    await writeFile(join(dir, 'taken', 'witness'), 'a file where the folder should be');
    const warned = await operator('taken')(url, 'stats');
    expect(warned.code).toBe(0);
    expect(warned.stderr).toContain('ALIQUOT_STATE');
  });
});

it('keeps it where the platform keeps state, and nowhere without a home', () => {
  expect(usualStateFolder('linux', { HOME: '/home/ann' })).toBe('/home/ann/.local/state/aliquot');
  expect(usualStateFolder('linux', { HOME: '/home/ann', XDG_STATE_HOME: '/state' })).toBe(
    '/state/aliquot',
  );
  expect(usualStateFolder('linux', { HOME: '/home/ann', XDG_STATE_HOME: 'relative' })).toBe(
    '/home/ann/.local/state/aliquot',
  );
  expect(usualStateFolder('darwin', { HOME: '/Users/ann' })).toBe(
    '/Users/ann/Library/Application Support/Aliquot/state',
  );
  expect(usualStateFolder('win32', { LOCALAPPDATA: 'C:\\Users\\ann\\AppData\\Local' })).toBe(
    'C:\\Users\\ann\\AppData\\Local\\Aliquot\\state',
  );
  expect(usualStateFolder('linux', {})).toBeUndefined();
});
