import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DemoService, type Finished, run } from '../demo/programs.ts';
import { authority, issued, selfSigned, type TlsPair, together } from './certificates.ts';
import { freePort } from './ports.ts';
import { TlsFront } from './tls-front.ts';
import { type AgentPlace, statusOf, World } from './world.ts';

/**
 * A collector that moves, is renamed, or gets another certificate, while nobody walks to a PC. Real
 * TLS, real sockets.
 */
describe('where the collector is', () => {
  let world: World;
  let services: DemoService[] = [];

  beforeEach(async () => {
    world = await World.open();
  });

  afterEach(async () => {
    for (const service of services) await service.stop('SIGKILL');
    services = [];
    await world.close();
  });

  /** Serves again with a certificate, or without, on the same port by default. */
  async function again(tls: TlsPair | undefined, port?: number): Promise<void> {
    await world.unserve();
    await world.serve(world.collectorData, {
      ...(tls === undefined ? {} : { tls }),
      ...(port === undefined ? {} : { port }),
    });
  }

  async function backup(
    agent: AgentPlace,
    name: string,
    environment: NodeJS.ProcessEnv = {},
  ): Promise<Finished> {
    const file = await world.write(`data/${name}`, name);
    return run('aliquot-agent', ['backup', file, '--data', agent.data, '--json'], environment);
  }

  /** The agent's service, once it has a session. */
  async function running(agent: AgentPlace): Promise<DemoService> {
    await writeFile(
      join(agent.data, 'agent.yaml'),
      `sources: [{ path: ${await world.place(`watched-${agent.name}`)} }]\n`,
    );
    const service = new DemoService('aliquot-agent', ['run', '--data', agent.data]);
    services.push(service);
    await service.event('running');
    await connected(agent);
    return service;
  }

  async function connected(agent: AgentPlace): Promise<void> {
    for (;;) {
      if ((await statusOf(agent))['connection'] === 'ready') return;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  const set = (urls: readonly string[], options: readonly string[] = []) =>
    world.aliquot([
      'collector',
      'address',
      'set',
      ...urls,
      '--kit',
      world.kit,
      '--json',
      ...options,
    ]);

  it('P6: a certificate renewed by its authority with a new key needs nothing, whether the system or the bundle knows the authority', async () => {
    const ca = await authority(world.folder);
    const [one, two] = [
      await issued(world.folder, 'one', ca),
      await issued(world.folder, 'two', ca),
    ];
    await again(one);
    world.trust = ca.cert;
    const given = await world.agent('given');
    world.trust = undefined;
    // The operator's machine knows the authority; the PC of this agent does not, and learns it by
    // the bundle.
    const bundle = join(world.folder, 'found.bundle');
    const enroll = [
      'enroll',
      'found',
      '--kit',
      world.kit,
      '--out',
      bundle,
      '--token-file',
      join(world.collectorData, 'admin.token'),
    ];
    const made = await run('aliquot', enroll, {
      ...world.environment(),
      NODE_EXTRA_CA_CERTS: ca.cert,
    });
    expect(made.stderr, 'enroll').not.toMatch(/aliquot:/);
    const found = { name: 'found', data: join(world.folder, 'agent-found'), bundle };
    expect((await run('aliquot-agent', ['enroll', bundle, '--data', found.data])).code).toBe(0);
    for (const agent of [given, found])
      expect((await backup(agent, `${agent.name} before`)).code).toBe(0);
    await again(two);
    for (const agent of [given, found])
      expect((await backup(agent, `${agent.name} after`)).code).toBe(0);
    const stranger = await authority(world.folder, 'stranger');
    await again(await issued(world.folder, 'three', stranger));
    const refused = await backup(given, 'never sent');
    expect(refused.code).not.toBe(0);
    expect(refused.stderr).toMatch(/TLS certificate/);
  });

  it('P6: a self-signed certificate is renewed with a new key: set beforehand, it needs no walk to any PC', async () => {
    const [one, two] = [
      await selfSigned(world.folder, 'one'),
      await selfSigned(world.folder, 'two'),
    ];
    await again(one);
    world.trust = one.cert;
    const agent = await world.agent('pc');
    expect((await backup(agent, 'before')).code).toBe(0);
    world.trust = await together(join(world.folder, 'both.pem'), one, two);
    const [told] = (await set([world.url])).lines;
    expect(told).toMatchObject({
      event: 'addresses',
      addresses: [
        { url: world.url, authority: true, pins: [expect.any(String), expect.any(String)] },
      ],
    });
    expect((await backup(agent, 'between')).code).toBe(0);
    await again(two);
    expect((await backup(agent, 'after')).code).toBe(0);
    world.trust = two.cert;
    await world.aliquot(['agents']);
    // A certificate that every PC believes takes the place of a self-signed one silently.
    const ca = await authority(world.folder);
    await again(await issued(world.folder, 'real', ca));
    expect((await backup(agent, 'unknown authority')).code).not.toBe(0);
    expect((await backup(agent, 'known authority', { NODE_EXTRA_CA_CERTS: ca.cert })).code).toBe(0);
    // And a renewal that nobody announced is refused.
    await again(await selfSigned(world.folder, 'three'));
    expect((await backup(agent, 'never sent')).code).not.toBe(0);
  });

  it('P1 P6: the collector moves while the service of a PC runs: it is told, keeps the old address beside the new one, and goes on there', async () => {
    const agent = await world.agent('pc');
    await running(agent);
    const old = world.url;
    const port = await freePort();
    const next = `http://127.0.0.1:${port}`;
    // Announced before anything answers there, and one that never will.
    const dead = `http://127.0.0.1:${await freePort()}`;
    await set([dead, next]);
    await world.unserve();
    await world.serve();
    await connected(agent);
    expect(await statusOf(agent)).toMatchObject({ collector: old });
    expect((await backup(agent, 'before')).code).toBe(0);
    await again(undefined, port);
    await connected(agent);
    expect(await statusOf(agent)).toMatchObject({ collector: next });
    expect((await backup(agent, 'after')).code).toBe(0);
    // The event is in the log: a catalog that is made again knows the addresses.
    await world.unserve();
    await rm(join(world.collectorData, 'catalog'), { recursive: true, force: true });
    await world.serve();
    const [shown] = (await world.aliquot(['collector', 'address', 'show', '--json'])).lines;
    expect(shown).toMatchObject({ addresses: [{ url: dead }, { url: next }] });
    await world.unserve();
    await world.aliquot(['fsck', '--data', world.collectorData]);
  });

  it('P6: a new address with another authority and certificate is tried at once and confirmed by a session; after a wrong one the old serves on', async () => {
    const [ca, other, stranger] = [
      await authority(world.folder, 'ca'),
      await authority(world.folder, 'other-ca'),
      await authority(world.folder, 'stranger-ca'),
    ];
    const behind = Number(new URL(world.url).port);
    const first = await TlsFront.open(await issued(world.folder, 'first', ca), behind);
    const second = await TlsFront.open(await issued(world.folder, 'second', other), behind);
    // A collector that knows nothing of this vault, behind a certificate that is believed.
    const foreign = await World.open();
    const wrong = await TlsFront.open(
      await issued(world.folder, 'wrong', other),
      Number(new URL(foreign.url).port),
    );
    try {
      world.trust = ca.cert;
      const agent = await world.agent('pc', [], first.url);
      await running(agent);
      const where = async () =>
        (await world.aliquot(['collector', 'address', 'show', '--json'])).lines[0];
      const at = async (url: string) => {
        while ((await statusOf(agent))['collector'] !== url)
          await new Promise((resolve) => setTimeout(resolve, 100));
        await connected(agent);
      };
      expect(await where()).toMatchObject({ addresses: [], elsewhere: 1 });
      // Both serve: nothing is stopped, nobody walks.
      await set([second.url], ['--tls-ca', other.cert]);
      await at(second.url);
      expect(await where()).toMatchObject({
        addresses: [{ url: second.url, authority: true, connected: 1 }],
        elsewhere: 0,
      });
      await first.close();
      expect((await backup(agent, 'after the move')).code).toBe(0);
      // A stranger's collector: it is tried, and the old one serves on.
      await set([wrong.url], ['--tls-ca', other.cert]);
      while (wrong.connections === 0) await new Promise((resolve) => setTimeout(resolve, 100));
      await at(second.url);
      expect((await backup(agent, 'not sent to a stranger')).code).toBe(0);
      // A wrong authority: where the place answers, the command itself refuses it; where it does
      // not yet, the PC does.
      const port = await freePort();
      const third = `https://localhost:${port}`;
      const refused = [
        'collector',
        'address',
        'set',
        second.url,
        '--kit',
        world.kit,
        '--tls-ca',
        stranger.cert,
      ];
      expect(await world.tryAliquot(refused)).toMatchObject({
        code: 1,
        stderr: expect.stringMatching(/not trusted.*\[COMMAND_TLS\]/),
      });
      await set([third], ['--tls-ca', stranger.cert]);
      const last = await TlsFront.open(await issued(world.folder, 'third', ca), behind, port);
      try {
        second.drop();
        while (last.connections === 0) await new Promise((resolve) => setTimeout(resolve, 100));
        await at(second.url);
        expect((await backup(agent, 'not sent to an unknown certificate')).code).toBe(0);
        expect(await where()).toMatchObject({
          addresses: [{ url: third, connected: 0 }],
          elsewhere: 1,
        });
        // Set right, it goes there as if nothing had been.
        await set([third], ['--tls-ca', ca.cert]);
        await at(third);
        await second.close();
        expect((await backup(agent, 'set right')).code).toBe(0);
      } finally {
        await last.close();
      }
    } finally {
      await Promise.all([first, second, wrong].map((front) => front.close()));
      await foreign.close();
    }
  });

  it('P6: a bundle that is made after the move knows the new addresses, whatever way its operator went', async () => {
    await set(['http://localhost:1', world.url]);
    const bundle = await world.bundle('late', ['--agent-url', 'http://127.0.0.1:1']);
    const data = join(world.folder, 'agent-late');
    expect((await run('aliquot-agent', ['enroll', bundle, '--data', data])).code).toBe(0);
    expect((await backup({ name: 'late', data, bundle }, 'sent')).code).toBe(0);
  });

  it('P6: a PC that missed the move takes the addresses from a file, with its service running and without; foreign, altered and older ones are refused', async () => {
    const [off, on] = [await world.agent('off'), await world.agent('on')];
    await running(on);
    const port = await freePort();
    const next = `http://127.0.0.1:${port}`;
    await again(undefined, port);
    const file = join(world.folder, 'lab.addresses');
    const older = join(world.folder, 'older.addresses');
    await set(['http://localhost:1'], ['--out', older]);
    await set([next], ['--out', file]);
    expect((await backup(off, 'queued')).code).toBe(3);
    const take = (from: string, agent: AgentPlace) =>
      run('aliquot-agent', ['address', 'set', from, '--data', agent.data, '--json']);
    for (const agent of [off, on]) {
      expect((await take(file, agent)).lines).toMatchObject([
        { event: 'addresses', news: true, collector: next },
      ]);
      for (const same of [file, older])
        expect((await take(same, agent)).lines).toMatchObject([
          { event: 'addresses', news: false },
        ]);
      if (agent === on) await connected(on);
      expect((await backup(agent, `${agent.name} after`)).lines.at(-1)).toMatchObject({
        event: 'summary',
        queued: 0,
      });
    }
    const text = await readFile(file, 'utf8');
    const altered = await world.write(
      'altered',
      text.replace(/[A-Za-z](?=[A-Za-z0-9+/]{30})/, (sign) => (sign === 'A' ? 'B' : 'A')),
    );
    const foreign = await World.open();
    await foreign.aliquot([
      'collector',
      'address',
      'set',
      foreign.url,
      '--kit',
      foreign.kit,
      '--out',
      join(world.folder, 'foreign'),
    ]);
    await foreign.close();
    for (const wrong of [
      altered,
      join(world.folder, 'foreign'),
      off.bundle,
      await world.write('empty', ''),
    ]) {
      const refused = await take(wrong, on);
      expect(refused.code).toBe(1);
      expect(refused.stderr).toMatch(/addresses.*central IT|ask central IT/);
      expect(refused.stderr.trim().split('\n')).toHaveLength(1);
    }
    expect((await take(join(world.folder, 'nowhere'), on)).code).toBe(2);
  });

  it('an address that agents may not be sent to is refused in one line, and nothing is set', async () => {
    await writeFile(join(world.folder, 'no.pem'), 'hello');
    const wrong: readonly (readonly string[])[] = [
      ['http://collector.lab:8480'],
      ['collector.lab'],
      ['https://user:secret@collector.lab'],
      ['https://collector.lab/?x=1'],
      ['ftp://collector.lab'],
      [world.url, `${world.url}/`],
      [...'abcdefghi'].map((name) => `http://127.0.0.1:1/${name}`),
    ];
    for (const urls of wrong) {
      const refused = await world.tryAliquot([
        'collector',
        'address',
        'set',
        ...urls,
        '--kit',
        world.kit,
      ]);
      expect(refused.code, urls.join(' ')).toBe(2);
      expect(refused.stderr.trim().split('\n'), urls.join(' ')).toHaveLength(1);
      expect(refused.stderr).not.toContain('secret');
    }
    const bad = [
      'collector',
      'address',
      'set',
      'https://localhost:1',
      '--kit',
      world.kit,
      '--tls-ca',
      join(world.folder, 'no.pem'),
    ];
    expect((await world.tryAliquot(bad)).stderr).toMatch(/no certificate in PEM/);
    expect((await world.aliquot(['collector', 'address', 'show', '--json'])).lines).toMatchObject([
      { revision: 0, addresses: [] },
    ]);
  });
});
