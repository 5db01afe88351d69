import { createServer, request, type Server } from 'node:http';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { frameRecords, readRecords } from '../collector/src/api/record-stream.ts';
import { run, stopPrograms } from '../demo/programs.ts';
import { freePort } from './ports.ts';
import { World } from './world.ts';

afterAll(stopPrograms);

/** Sets the title, clears, colours, turns, hides, and breaks the line. */
const HOSTILE = '\u001b]0;owned\u0007\u001b[2J\u009b31m\u202e\u2028\u200b\u007f\r';
const spoilt = new Set([
  'agent',
  'message',
  'endReason',
  'software',
  'version',
  'class',
  'name',
  'reason',
]);

/** A collector's answer with every text that is nobody's id made HOSTILE. */
function spoil(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(spoil);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [
      key,
      spoilt.has(key) && typeof inner === 'string' ? HOSTILE + inner : spoil(inner),
    ]),
  );
}

/** Passes everything on to a collector, and spoils what it answers. */
function hostileProxy(url: string): Server {
  const upstream = new URL(url);
  return createServer((asked, answer) => {
    const parts: Buffer[] = [];
    asked.on('data', (part: Buffer) => parts.push(part));
    asked.on('end', () => {
      const { hostname, port } = upstream;
      const { method, url: path, headers } = asked;
      const passed = request({ hostname, port, method, path, headers }, async (from) => {
        const type = String(from.headers['content-type']);
        const out: Buffer[] = [];
        if (path?.endsWith('/names') === true) {
          const rows = (async function* () {
            for await (const row of readRecords(from))
              yield Buffer.from(JSON.stringify(spoil(JSON.parse(row.toString()))));
          })();
          const failed = () => ({ code: 'X', message: 'x' });
          for await (const frame of frameRecords(rows, failed)) out.push(Buffer.from(frame));
        } else for await (const part of from) out.push(part as Buffer);
        let body = Buffer.concat(out);
        if (type.includes('json')) {
          const text = body.toString();
          body = Buffer.from(text === '' ? '' : JSON.stringify(spoil(JSON.parse(text))));
        }
        answer.writeHead(from.statusCode ?? 500, {
          'content-type': type,
          'content-length': body.length,
        });
        answer.end(body);
      });
      passed.end(Buffer.concat(parts));
    });
  });
}

/** What may stand in what a program says: line feeds and tabs are its own. */
const STEERING = /(?![\n\t])[\p{Cc}\p{Zl}\p{Zp}\u202a-\u202e\u200b]/u;

test('P6: no command of an operator or a PC lets names or texts from elsewhere steer the terminal', async () => {
  const world = await World.open();
  const pc = await world.agent('pc');
  const name = `data/a${HOSTILE}b.csv`;
  await world.write(name, 'x');
  await world.write('data/plain.csv', 'y');
  const source = join(world.folder, 'data');
  await world.backup(pc, [source]);
  const server = hostileProxy(world.url);
  const port = await freePort();
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  const token = ['--token-file', join(world.collectorData, 'admin.token')];
  const [kit, path, to] = [['--kit', world.kit], join(world.folder, name), join(world.folder, 'b')];
  const asked: readonly (readonly string[])[] = [
    ['ls', '--agent', 'pc'],
    ['ls', '--agent', 'pc', '--json'],
    ['ls', ...kit, '--agent', 'pc'],
    ['versions', '--agent', 'pc', '--path', path],
    ['diff', '--agent', 'pc', '--from', '1h', '--path', source],
    ['agents'],
    ['agents', '--problems'],
    ['fork', 'list'],
    ['log', 'status'],
    ['stats'],
    ['agent', 'acknowledge', `pc${HOSTILE.replaceAll('\0', '')}`],
    ['restore', '--agent', 'pc', ...kit, '--to', to],
    ['check', ...kit],
    ['cat', '--agent', 'pc', ...kit, '--path', path],
    ['enroll', 'new', ...kit, '--out', join(world.folder, 'new.bundle')],
  ];
  const data = ['--data', pc.data];
  const atThePc: readonly (readonly string[])[] = [
    ['backup', source, ...data],
    ['backup', path, ...data],
    ['status', ...data],
    ['status', '--json', ...data],
    ['versions', path, ...data],
    ['restore', path, ...data],
    ['restore', `${path}${HOSTILE}`, ...data],
    ['acknowledge', path, ...data],
    ['backup', join(world.folder, `none${HOSTILE}`), ...data],
  ];
  try {
    const environment = world.environment(`http://127.0.0.1:${port}`);
    for (const args of asked) {
      const { stdout, stderr } = await run('aliquot', [...args, ...token], environment);
      expect([args[0], STEERING.exec(stdout + stderr)?.[0]]).toEqual([args[0], undefined]);
    }
    for (const args of atThePc) {
      const { stdout, stderr } = await run('aliquot-agent', args);
      expect([args[0], STEERING.exec(stdout + stderr)?.[0]]).toEqual([args[0], undefined]);
    }
  } finally {
    server.close();
    await world.close();
  }
});
