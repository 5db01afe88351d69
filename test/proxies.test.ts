import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { systemRandom } from '@aliquot/shared/ports';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { TrustedProxies } from '../collector/src/ingest/network.ts';
import { FrontDoor } from '../collector/src/ingest/unproved.ts';
import { attachIngest } from '../collector/src/ingest/upgrade.ts';
import { Front } from '../collector/testing/front.ts';
import { differences, pictureOf } from '../demo/picture.ts';
import { DemoService } from '../demo/programs.ts';
import { authority, issued, type TlsPair } from './certificates.ts';
import { freePort } from './ports.ts';
import { makeTree } from './trees.ts';
import { type AgentPlace, statusOf, World } from './world.ts';

/**
 * The examples for proxies as they stand in `deploy`, really started in front of a collector: only
 * names, ports and paths are replaced. Skipped where the program is not installed.
 */

/** How long a session has nothing to say. An hour was tried too: `ALIQUOT_SILENCE_SECONDS=3600`. */
const silence = (usual: number): number => Number(process.env['ALIQUOT_SILENCE_SECONDS'] ?? usual);
/** Of nginx: more than the collector's 30 s between two questions, and less than the silence. */
const PROXY_PATIENCE_SECONDS = 40;
const LOOK_MS = 200;

const installed = (program: string): boolean =>
  spawnSync(program, ['-v'], { stdio: 'ignore' }).error === undefined;

interface Proxy {
  readonly program: string;
  /** Of its session in the test. */
  readonly silenceSeconds: number;
  /**
   * Writes its configuration; the answer is the arguments that check it, and those that run it in
   * the foreground.
   */
  configure(
    folder: string,
    listen: number,
    collector: number,
    tls: TlsPair,
  ): Promise<{ readonly check: string[]; readonly run: string[] }>;
}

const example = (path: string): Promise<string> =>
  readFile(join(import.meta.dirname, '../deploy', path), 'utf8');

/**
 * Replaces what every place must choose for itself; whatever is not there any more is a mistake of
 * this test.
 */
function placed(text: string, changes: readonly (readonly [string, string])[]): string {
  return changes.reduce((made, [from, to]) => {
    if (!made.includes(from)) throw new Error(`the example does not say "${from}"`);
    return made.replaceAll(from, to);
  }, text);
}

const nginx: Proxy = {
  program: 'nginx',
  silenceSeconds: silence(75),
  async configure(folder, listen, collector, tls) {
    const site = placed(await example('nginx/aliquot.conf'), [
      ['listen 8480 ssl', `listen 127.0.0.1:${listen} ssl`],
      ['127.0.0.1:8481;', `127.0.0.1:${collector};`],
      ['backup.lab.example', 'localhost'],
      ['/etc/aliquot/tls/tls.crt', tls.cert],
      ['/etc/aliquot/tls/tls.key', tls.key],
      ['proxy_read_timeout 1h', `proxy_read_timeout ${PROXY_PATIENCE_SECONDS}s`],
      ['proxy_send_timeout 1h', `proxy_send_timeout ${PROXY_PATIENCE_SECONDS}s`],
    ]);
    await writeFile(join(folder, 'site.conf'), site);
    const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
      (kind) => `${kind}_temp_path ${folder}/${kind};`,
    );
    const whole = [
      `pid ${folder}/nginx.pid;`,
      'events {}',
      `http { access_log ${folder}/access.log; ${temporary.join(' ')} include ${folder}/site.conf; }`,
    ];
    await writeFile(join(folder, 'nginx.conf'), whole.join('\n'));
    const options = ['-e', `${folder}/error.log`, '-p', folder, '-c', `${folder}/nginx.conf`];
    return { check: [...options, '-t'], run: [...options, '-g', 'daemon off;'] };
  },
};

const caddy: Proxy = {
  program: 'caddy',
  // It has no such limit.
  silenceSeconds: silence(5),
  async configure(folder, listen, collector, tls) {
    const site = placed(await example('caddy/Caddyfile'), [
      ['backup.lab.example:8480', `localhost:${listen}`],
      ['reverse_proxy 127.0.0.1:8481', `reverse_proxy 127.0.0.1:${collector}`],
      ['/etc/aliquot/tls/tls.crt', tls.cert],
      ['/etc/aliquot/tls/tls.key', tls.key],
    ]);
    const file = join(folder, 'Caddyfile');
    // Nothing but the site itself: no second port for administration, and no listener for
    // redirects.
    await writeFile(
      file,
      `{\n\tadmin off\n\tauto_https disable_redirects\n\tstorage file_system ${folder}/storage\n}\n\n${site}`,
    );
    const options = ['--config', file, '--adapter', 'caddyfile'];
    return { check: ['validate', ...options], run: ['run', ...options] };
  },
};

const proxies = [nginx, caddy].map((proxy) => ({
  ...proxy,
  note: installed(proxy.program) ? '' : ' (skipped: it is not installed here)',
}));

describe.each(proxies)('$program in front of the collector$note', (proxy) => {
  let world: World;
  let tls: { readonly ca: TlsPair; readonly pair: TlsPair };
  let child: ChildProcess | undefined;
  let service: DemoService | undefined;
  let front = 0;
  const missing = !installed(proxy.program);

  beforeEach(async () => {
    if (missing) return;
    world = await World.open();
    await world.unserve();
    await world.serve(world.collectorData, { more: ['--trusted-proxy', '127.0.0.1'] });
    const ca = await authority(world.folder);
    tls = { ca, pair: await issued(world.folder, 'proxy', ca) };
    world.trust = ca.cert;
    front = await freePort();
  });

  afterEach(async () => {
    if (missing) return;
    await service?.stop('SIGKILL');
    service = undefined;
    await stop();
    await world.close();
  });

  async function start(collector = Number(new URL(world.url).port)): Promise<void> {
    const folder = join(world.folder, 'proxy');
    await mkdir(folder);
    const { check, run } = await proxy.configure(folder, front, collector, tls.pair);
    const checked = spawnSync(proxy.program, check, { encoding: 'utf8' });
    expect(checked.status, checked.stderr).toBe(0);
    child = spawn(proxy.program, run, { stdio: 'ignore' });
    while (!(await answers(front))) {
      expect(child.exitCode, 'it ended early').toBe(null);
      await delay(LOOK_MS);
    }
  }

  async function stop(): Promise<void> {
    const running = child;
    child = undefined;
    if (running === undefined || running.exitCode !== null) return;
    const closed = new Promise((resolve) => running.once('close', resolve));
    running.kill('SIGTERM');
    await closed;
  }

  const place = (): string => `https://localhost:${front}`;

  it.skipIf(missing)(
    'P2: enrolment, a backup, the operator and a restore go through it, over TLS and WebSocket, and what comes back is equal',
    async () => {
      await start();
      const agent = await world.agent('hplc-1', [], place());
      const source = await world.place('results');
      await makeTree(source);
      await world.write('results/large.bin', Buffer.alloc(5_000_000, 'instrument '));
      expect(await world.backup(agent, [source])).toMatchObject({ failed: 0, queued: 0 });
      expect(await statusOf(agent)).toMatchObject({ collector: place() });
      const through = ['--url', place(), '--agent', 'hplc-1'];
      await world.aliquot([
        'restore',
        ...through,
        '--kit',
        world.kit,
        '--to',
        join(world.folder, 'back'),
      ]);
      expect(
        differences(await pictureOf(source), await pictureOf(join(world.folder, 'back', source))),
      ).toEqual([]);
      await world.aliquot(['check', '--url', place(), '--kit', world.kit]);
    },
  );

  it.skipIf(missing)(
    'P6: what it says of where a connection came from is what the limits count by, and no client can say it',
    async () => {
      const own = await Front.open();
      const { store, hub, clock, timers, log } = own;
      const proxies = new TrustedProxies('127.0.0.1');
      const limits = { inside: 100, perNetwork: 2, waiting: 100, aSecond: 400 };
      const door = new FrontDoor({ log, timers, proxies, limits });
      const server = createServer();
      const parts = { store, hub, clock, random: systemRandom, timers, log };
      const ingest = attachIngest(server, parts, door);
      const behind = door.front(server);
      await new Promise<void>((resolve) => behind.listen(0, '127.0.0.1', resolve));
      await start((behind.address() as AddressInfo).port);
      const opened: WebSocket[] = [];
      const dial = async (from: string, says: string) => {
        const headers = { 'x-forwarded-for': says };
        const options = { localAddress: from, family: 4, headers, rejectUnauthorized: false };
        const socket = new WebSocket(`wss://localhost:${front}/v1/agent`, options);
        opened.push(socket);
        const closed = new Promise((resolve) => socket.once('close', resolve));
        await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
        return { socket, closed };
      };
      try {
        const first = await dial('127.0.0.5', '203.0.113.1');
        await dial('127.0.0.5', '203.0.113.2');
        const other = await dial('127.0.0.6', '127.0.0.5');
        await dial('127.0.0.5', '203.0.113.3');
        await first.closed;
        expect(own.logged.join('')).toContain('"from":"127.0.0.5"');
        expect(other.socket.readyState).toBe(WebSocket.OPEN);
      } finally {
        for (const socket of opened) socket.terminate();
        door.stop();
        await ingest.stop();
        server.closeAllConnections();
        behind.close();
        await own.close();
      }
    },
  );

  it.skipIf(missing)(
    `P6: a session that has nothing to say for ${proxy.silenceSeconds} s is the same session afterwards, whatever the patience of the proxy`,
    async () => {
      await start();
      const agent = await world.agent('quiet', [], place());
      const watched = await world.place('watched');
      // Nothing is scanned, so nothing is told: not even a heartbeat.
      await writeFile(
        join(agent.data, 'agent.yaml'),
        `scanIntervalSeconds: 86400\nsources: [{ path: ${watched}, quietPeriodSeconds: 1 }]\n`,
      );
      service = new DemoService('aliquot-agent', ['run', '--data', agent.data]);
      await service.event('running');
      const before = await sessionOf(agent);
      await delay(proxy.silenceSeconds * 1000);
      expect(await sessionOf(agent)).toEqual(before);
      // And it is one that carries.
      await world.write('watched/after.csv', '1,2\n');
      while ((await statusOf(agent))['lastReceipt'] === null) await delay(LOOK_MS);
      expect(await sessionOf(agent)).toEqual(before);
    },
    proxy.silenceSeconds * 1000 + 300_000,
  );
});

/** Since when there is which session, once there is one. */
async function sessionOf(agent: AgentPlace): Promise<unknown> {
  for (;;) {
    const { connection, connectedSince, collector } = await statusOf(agent);
    if (connection === 'ready' && connectedSince !== undefined)
      return { connectedSince, collector };
    await delay(LOOK_MS);
  }
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
