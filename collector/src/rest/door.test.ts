import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { type AddressInfo, connect as connectTcp, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { sha256 } from '@aliquot/shared/crypto/primitives';
import { systemRandom } from '@aliquot/shared/ports';
import { posixOnly } from '@aliquot/shared/testing/platform';
import type { FastifyInstance } from 'fastify';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { SessionTestAgent } from '../../testing/agent.ts';
import { Front } from '../../testing/front.ts';
import { TrustedProxies } from '../ingest/network.ts';
import { FrontDoor } from '../ingest/unproved.ts';
import { attachIngest, type Ingest } from '../ingest/upgrade.ts';
import type { GateLimits } from '../limits.ts';
import { buildServer, type TlsFiles } from './server.ts';

/** The whole server over real sockets; only its timers are the test's. */

const TOKEN = 'test-operator-token-of-some-length';
const IDLE_LOOKS = 6;
const roomy: GateLimits = { inside: 100, perNetwork: 50, waiting: 100, aSecond: 1000 };

let tls: TlsFiles | undefined;
let front: Front;
let app: FastifyInstance;
let ingest: Ingest;
let listening: ReturnType<FrontDoor['front']>;
let door: FrontDoor;

async function start(
  options: { limits?: GateLimits; proxies?: string; tls?: boolean } = {},
): Promise<void> {
  front = await Front.open();
  const { store, hub, clock, timers, log, health } = front;
  const tokened = new Proxy(store, {
    get: (target, name) => {
      if (name === 'adminTokenHash') return sha256(new Uint8Array(Buffer.from(TOKEN)));
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
  const proxies = new TrustedProxies(options.proxies);
  door = new FrontDoor({ log, timers, proxies, limits: options.limits ?? roomy });
  app = buildServer(
    { store: tokened, sessions: hub, health, clock, log, timers, software: 'test', door },
    options.tls === true ? tls : undefined,
  );
  ingest = attachIngest(app.server, { store, hub, clock, random: systemRandom, timers, log }, door);
  await app.ready();
  listening = door.front(app.server);
  await new Promise<void>((resolve) => listening.listen(0, '127.0.0.1', resolve));
}

afterEach(async () => {
  listening.close();
  door.stop();
  await ingest.stop();
  app.server.closeAllConnections();
  await app.close();
  await front.close();
});

/** One client's socket, with what came back. */
class Client {
  text = '';
  closed = false;
  readonly socket: Socket;
  #wake: () => void = () => undefined;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (data: Buffer) => {
      this.text += data.toString('latin1');
      this.#wake();
    });
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.closed = true;
      this.#wake();
    });
  }

  /** @param options `head`: what a proxy says before it passes anything on */
  static dial(options: { tls?: boolean; from?: string; head?: string | Buffer } = {}): Client {
    const { port } = listening.address() as AddressInfo;
    const { tls: secure = false, from: localAddress = '127.0.0.1', head } = options;
    const socket = connectTcp({ port, host: '127.0.0.1', localAddress });
    if (head !== undefined) socket.write(head);
    return new Client(secure ? connectTls({ socket, rejectUnauthorized: false }) : socket);
  }

  send(text: string | Buffer): this {
    this.socket.write(text);
    return this;
  }

  async until(text: string): Promise<void> {
    while (!this.text.includes(text) && !this.closed) await this.#more();
    expect(this.text).toContain(text);
  }

  async gone(): Promise<void> {
    while (!this.closed) await this.#more();
  }

  #more(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
}

const get = (path: string, ...headers: string[]) =>
  `${[`GET ${path} HTTP/1.1`, 'Host: x', ...headers].join('\r\n')}\r\n\r\n`;
const upgrade = (path: string, ...headers: string[]) =>
  get(
    path,
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Version: 13',
    'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==',
    ...headers,
  );
const post = (path: string, type: string, length: number | 'chunked', ...headers: string[]) =>
  [
    `POST ${path} HTTP/1.1`,
    'Host: x',
    `Content-Type: ${type}`,
    length === 'chunked' ? 'Transfer-Encoding: chunked' : `Content-Length: ${length}`,
    ...headers,
    '\r\n',
  ].join('\r\n');
const OCTETS = 'application/octet-stream';
const AUTHORIZATION = `Authorization: Bearer ${TOKEN}`;

/** Waits until the server has so many connections, whatever they are. */
const connections = (count: number) =>
  expect
    .poll(
      () =>
        new Promise((resolve) =>
          listening.getConnections((_error, connected) => resolve(connected)),
        ),
    )
    .toBe(count);

function elapse(looks: number): void {
  for (let look = 0; look < looks; look += 1) front.timers.elapse();
}

const silent: readonly (readonly [string, string])[] = [
  ['says nothing', ''],
  ['begins a head and does not end it', 'GET /healthz HT'],
  ['sends a head of many lines without an end', `${get('/healthz', 'X: 1').slice(0, -2)}Y: 2\r\n`],
  [
    'asks whether it may send a body, and sends none',
    post('/v1/enrol', OCTETS, 900, 'Expect: 100-continue'),
  ],
  ['sends half of an enrolment', `${post('/v1/enrol', OCTETS, 900)}half`],
  ['sends a chunked body without an end', `${post('/v1/enrol', OCTETS, 'chunked')}4\r\nhalf\r\n`],
  ['becomes a WebSocket and says nothing', upgrade('/v1/agent')],
  ['was answered, and stays', get('/healthz')],
  ['was refused, and stays', get('/v1/operator/collector')],
  ['asked for what is not there, and stays', upgrade('/nothing')],
];

let folder = '';
beforeAll(() => {
  if (!posixOnly('there is no openssl to make certificates with')) return;
  folder = mkdtempSync(join(tmpdir(), 'aliquot-door-'));
  const [cert, key] = [join(folder, 'cert'), join(folder, 'key')];
  const ask = 'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 9';
  const files = ['-subj', '/CN=door', '-keyout', key, '-out', cert];
  execFileSync('openssl', [...ask.split(' '), ...files], { stdio: 'ignore' });
  tls = { cert: readFileSync(cert), key: readFileSync(key) };
});
afterAll(() => {
  if (folder !== '') rmSync(folder, { recursive: true });
});

describe.each([
  ['plain', false],
  ['TLS', true],
] as const)('over %s, a connection that has proved nothing', (_name, secure) => {
  const skip = secure && !posixOnly('there is no openssl to make certificates with');
  it.skipIf(skip).each(silent)('is ended after a while when it %s', async (_case, text) => {
    await start({ tls: secure });
    const client = Client.dial({ tls: secure }).send(text);
    await connections(1);
    if (text !== '' && !text.includes('half') && /\r\n\r\n$/.test(text))
      await client.until('HTTP/1.1');
    elapse(IDLE_LOOKS);
    // Over TLS the last of its bytes may have come just now.
    elapse(IDLE_LOOKS);
    await client.gone();
    await connections(0);
  });

  it.skipIf(skip)('is ended when it takes too long in all, whatever it sends', async () => {
    await start({ tls: secure });
    const client = Client.dial({ tls: secure }).send('GET /healthz HTTP/1.1\r\n');
    await connections(1);
    for (let look = 0; look < 20 && !client.closed; look += 1) {
      client.send(`X-${look}: 1\r\n`);
      await new Promise((resolve) => setTimeout(resolve, 20));
      front.timers.elapse();
    }
    await client.gone();
  });

  it.skipIf(skip)('makes room for an operator of its own address, who then keeps his', async () => {
    await start({ tls: secure, limits: { ...roomy, perNetwork: 3 } });
    const held = [];
    for (const path of ['/v1/agent', '/v1/agent', '/v1/agent']) {
      const client = Client.dial({ tls: secure }).send(upgrade(path));
      await client.until('101');
      held.push(client);
    }
    const operator = Client.dial({ tls: secure }).send(
      get('/v1/operator/collector', AUTHORIZATION),
    );
    await operator.until('200 OK');
    await held[0]?.gone();
    const more = [];
    for (const _ of Array(4)) {
      const client = Client.dial({ tls: secure }).send(upgrade('/v1/agent'));
      await client.until('101');
      more.push(client);
    }
    elapse(2 * IDLE_LOOKS);
    await Promise.all([...held, ...more].map((client) => client.gone()));
    operator.text = '';
    await operator.send(get('/v1/operator/collector', AUTHORIZATION)).until('200 OK');
    expect(front.logged.join('')).toMatch(/"code":"INGEST_LIMIT","from":"127.0.0.1"/);
  });
});

describe.each([
  ['plain', false],
  ['TLS', true],
] as const)('over %s, a connection that a proxy passes on unopened', (_name, secure) => {
  const skip = secure && !posixOnly('there is no openssl to make certificates with');
  const few = { ...roomy, perNetwork: 2 };
  const text = (address: string) => `PROXY TCP4 ${address} 192.0.2.1 4711 8480\r\n`;
  const dial = async (head: string | Buffer, from = '127.0.0.9') => {
    const says = upgrade('/v1/agent', 'X-Forwarded-For: 198.51.100.1');
    const client = Client.dial({ tls: secure, from, head }).send(says);
    await client.until('101');
    return client;
  };

  it.skipIf(skip)('counts by the address that the proxy says, and by nothing in it', async () => {
    await start({ tls: secure, limits: few, proxies: '127.0.0.9' });
    const first = await dial(text('203.0.113.1'));
    const others = [await dial(text('203.0.113.2')), await dial(text('203.0.113.3'))];
    const binary = '0d0a0d0a000d0a515549540a2111000ccb007101c000020111112130';
    await dial(Buffer.from(binary, 'hex'));
    expect(first.closed).toBe(false);
    await dial(text('203.0.113.1'));
    await first.gone();
    expect(others.map(({ closed }) => closed)).toEqual([false, false]);
    expect(front.logged.join('')).toMatch(/"from":"203.0.113.1"/);
    // Who has proved himself goes on.
    const operator = Client.dial({ tls: secure, from: '127.0.0.9', head: text('203.0.113.1') });
    await operator.send(get('/v1/operator/collector', AUTHORIZATION)).until('200 OK');
  });

  it.skipIf(skip)('of nobody whom it knows counts by what each request says', async () => {
    await start({ tls: secure, limits: few, proxies: '127.0.0.9' });
    await dial('PROXY UNKNOWN\r\n');
    await dial('PROXY UNKNOWN\r\n');
    await dial('PROXY UNKNOWN\r\n');
    expect(front.logged.join('')).toMatch(/"from":"198.51.100.1"/);
  });

  it.skipIf(skip)('is ended where its head is none, or does not come', async () => {
    await start({ tls: secure, proxies: '127.0.0.9' });
    const wrong = Client.dial({ from: '127.0.0.9' }).send('PROXY TCP4 nobody\r\n');
    await wrong.gone();
    expect(front.logged.join('')).toContain('a proxy begins a connection with a head');
    const half = Client.dial({ from: '127.0.0.9' }).send('PROXY TC');
    await connections(1);
    front.timers.elapse();
    await half.gone();
  });

  it.skipIf(skip)('is one of the proxy’s own where nobody trusts it', async () => {
    await start({ tls: secure, proxies: '127.0.0.9' });
    const client = Client.dial({ from: '127.0.0.8' }).send(`${text('203.0.113.1')}GET / HTTP/1.1`);
    await client.gone();
    expect(front.logged.join('')).not.toContain('203.0.113.1');
  });
});

describe('a request without the operator’s token', () => {
  it('gets one answer on a connection, and has none worked on that it sends beside it', async () => {
    await start();
    const client = Client.dial().send(get('/livez'));
    await client.until('"status":"ok"');
    await client.send(get('/livez')).gone();
    expect(client.text.split('HTTP/1.1').length - 1).toBe(1);
    const many = Client.dial().send(get('/livez').repeat(50));
    await many.gone();
    const worked = front.logged.filter((line) => line.includes('"msg":"request"'));
    expect(worked.length).toBeLessThanOrEqual(2);
  });

  it.each([
    ['an enrolment above its limit', post('/v1/enrol', OCTETS, 16 * 1024 + 1), '413'],
    ['an enrolment that is no bytes', post('/v1/enrol', 'application/json', 9000), '400'],
    ['what no endpoint takes', post('/v1/nothing', 'application/json', 900_000), '404'],
    ['an operator’s endpoint', post('/v1/operator/vaults', 'application/json', 900_000), '401'],
  ])('is answered before its body is there: %s', async (_case, head, status) => {
    await start();
    const client = Client.dial().send(head);
    await client.until(`HTTP/1.1 ${status}`);
  });

  it('may not send a chunked enrolment above the limit', async () => {
    await start();
    const piece = `4000\r\n${'x'.repeat(0x4000)}\r\n`;
    const client = Client.dial().send(post('/v1/enrol', OCTETS, 'chunked') + piece + piece);
    await client.until('413');
  });

  it('is ended when it goes on sending what nobody wants', async () => {
    await start();
    const client = Client.dial().send(post('/v1/operator/vaults', 'application/json', 2 ** 40));
    await client.until('401');
    const piece = Buffer.alloc(64 * 1024);
    const more = setInterval(() => client.send(piece), 5);
    await expect
      .poll(() => {
        front.timers.elapse();
        return client.closed;
      })
      .toBe(true);
    clearInterval(more);
  });

  it('enrols', async () => {
    await start();
    const agent = new SessionTestAgent(await front.bundle('hplc-1'));
    const { port } = listening.address() as AddressInfo;
    await agent.enrol(`http://127.0.0.1:${port}`);
  });
});

describe('behind a proxy', () => {
  const few = { ...roomy, perNetwork: 2 };
  const forwarded = (address: string) => `X-Forwarded-For: ${address}`;
  const dial = async (address: string, from = '127.0.0.9') => {
    const client = Client.dial({ from }).send(upgrade('/v1/agent', forwarded(address)));
    await client.until('101');
    return client;
  };

  it('that is trusted, each PC counts by its own address', async () => {
    await start({ limits: few, proxies: '127.0.0.9' });
    const first = await dial('203.0.113.1');
    const others = [
      await dial('203.0.113.2'),
      await dial('203.0.113.3'),
      await dial('203.0.113.4'),
    ];
    await dial('203.0.113.1');
    expect(first.closed).toBe(false);
    await dial('203.0.113.1');
    await first.gone();
    expect(others.map(({ closed }) => closed)).toEqual([false, false, false]);
    // What a client writes into the header stands before what the proxy adds.
    await dial('203.0.113.77, 203.0.113.2');
    await dial('203.0.113.78, 203.0.113.2');
    await others[0]?.gone();
    expect(front.logged.join('')).toMatch(/"from":"203.0.113.2"/);
  });

  it('that nobody trusts, what it says is not believed', async () => {
    await start({ limits: few, proxies: '127.0.0.9' });
    const first = await dial('203.0.113.1', '127.0.0.8');
    await dial('203.0.113.2', '127.0.0.8');
    await dial('203.0.113.3', '127.0.0.8');
    await first.gone();
    expect(front.logged.join('')).toMatch(/"from":"127.0.0.8"/);
  });

  it('a /64 of IPv6 is one address, and an IPv4 address is the same however it is written', async () => {
    await start({ limits: few, proxies: '127.0.0.9' });
    const six = await dial('2001:db8::1');
    await dial('2001:db8::2');
    await dial('2001:db8:0:0:ffff::3');
    await six.gone();
    const four = await dial('203.0.113.9');
    await dial('::ffff:203.0.113.9');
    await dial('203.0.113.9:4711');
    await four.gone();
  });

  it('one connection serves many; what one request proved does not speak for the next', async () => {
    await start({ limits: few, proxies: '127.0.0.9' });
    const shared = Client.dial({ from: '127.0.0.9' });
    await shared
      .send(get('/v1/operator/collector', AUTHORIZATION, forwarded('203.0.113.1')))
      .until('200 OK');
    shared.text = '';
    shared.send(`${post('/v1/enrol', OCTETS, 900, forwarded('203.0.113.2'))}half`);
    await expect
      .poll(() => {
        front.timers.elapse();
        return shared.closed;
      })
      .toBe(true);
  });
});
