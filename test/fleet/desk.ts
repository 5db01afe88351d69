import assert from 'node:assert/strict';
import { type ChildProcess, fork } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { encodeSigned } from '@aliquot/proto';
import { sha256 } from '@aliquot/shared/crypto/primitives';
import { policyKeyFor } from '@aliquot/shared/keys/derive';
import { openKit } from '@aliquot/shared/keys/kit';
import { issuePolicy, sealPolicyText } from '@aliquot/shared/keys/policy';
import { issueSettings } from '@aliquot/shared/keys/settings';
import { systemRandom } from '@aliquot/shared/ports';
import type { AgentInfo } from '../../collector/src/api/messages.ts';
import { CollectorClient } from '../../collector/src/operator/client/collector-client.ts';
import type { VaultClient } from '../../collector/src/operator/client/vault-client.ts';
import { deskPcs } from '../../collector/src/operator/policy/desk.ts';
import { DemoService, run } from '../../demo/programs.ts';
import { authority, issued } from '../certificates.ts';
import { TlsFront } from '../tls-front.ts';
import { PASSPHRASE, statusOf, World } from '../world.ts';
import type { DeskOrder } from './desk-worker.ts';

/** How many PCs there are, and how many of them have a process of their own. */
export interface DeskSize {
  readonly real: number;
  readonly simulated: number;
}

const LOOK_MS = 100;
/** Real PCs that are enrolled and started at once. */
const AT_ONCE = 4;
const WORKERS = 2;
const YEAR_MS = 365 * 86_400_000;

/**
 * PCs that are run from one desk, while nobody walks to any: one bundle for all, settings, a wrong
 * file, a canary, another address with another authority, and the way back from a wrong one. Throws
 * at the first thing that is not as it must be; `print` gets a line for each step that is done,
 * with how long it took.
 */
export async function proveDesk(size: DeskSize, print: (line: string) => void): Promise<void> {
  const desk = await Desk.open(size, print);
  try {
    await desk.enrol();
    await desk.settings();
    await desk.wrongFile();
    await desk.canary();
    await desk.addresses();
  } finally {
    await desk.close();
  }
}

class Desk {
  readonly #world: World;
  readonly #print: (line: string) => void;
  readonly #names: readonly string[];
  readonly #real: readonly string[];
  readonly #services: DemoService[] = [];
  readonly #workers: ChildProcess[] = [];
  readonly #fronts: TlsFront[] = [];
  readonly #behind: number;
  readonly #vault: VaultClient;

  private constructor(
    world: World,
    vault: VaultClient,
    size: DeskSize,
    print: (line: string) => void,
  ) {
    this.#world = world;
    this.#vault = vault;
    this.#print = print;
    this.#behind = Number(new URL(world.url).port);
    this.#names = Array.from(
      { length: size.real + size.simulated },
      (_, at) => `pc-${String(at + 1).padStart(3, '0')}`,
    );
    this.#real = this.#names.slice(0, size.real);
  }

  static async open(size: DeskSize, print: (line: string) => void): Promise<Desk> {
    const world = await World.open();
    const token = (await readFile(join(world.collectorData, 'admin.token'), 'utf8')).trim();
    const client = await CollectorClient.connect({ url: world.url, token, tlsCa: undefined });
    return new Desk(world, client.vault({}), size, print);
  }

  get #all(): number {
    return this.#names.length;
  }

  #place(name: string): { readonly name: string; readonly data: string; readonly bundle: string } {
    return { name, data: join(this.#world.folder, 'agents', name), bundle: '' };
  }

  async #agents(): Promise<readonly AgentInfo[]> {
    return (await this.#vault.roster.list()).agents;
  }

  /** Waits until this holds of every PC, or of those that are named; tells how long that took. */
  async #until(
    what: string,
    holds: (agent: AgentInfo) => boolean,
    since = Date.now(),
    names = this.#names,
  ): Promise<void> {
    const meant = new Set(names);
    for (;;) {
      const agents = await this.#agents();
      const done = agents.filter((agent) => meant.has(agent.name) && holds(agent)).length;
      if (done === meant.size) break;
      await delay(LOOK_MS);
    }
    this.#print(`${what}: ${meant.size} PCs, ${seconds(since)}`);
  }

  /** A proxy in front of the one collector, with a certificate of an authority of its own. */
  async #front(name: string, behind = this.#behind): Promise<TlsFront & { readonly ca: string }> {
    const ca = await authority(this.#world.folder, `${name}-ca`);
    const front = await TlsFront.open(await issued(this.#world.folder, name, ca), behind);
    this.#fronts.push(front);
    return Object.assign(front, { ca: ca.cert });
  }

  #policy(name: string, text: string): Promise<string> {
    return this.#world.write(name, text);
  }

  async enrol(): Promise<void> {
    const world = this.#world;
    const front = await this.#front('first');
    world.trust = front.ca;
    await world.place('agents');
    const bundle = join(world.folder, 'desk.bundle');
    const uses = ['--uses', String(this.#all), '--names', 'pc-*', '--expires', '1d'];
    await world.aliquot([
      'enroll',
      '--group',
      'desk',
      ...uses,
      '--kit',
      world.kit,
      '--out',
      bundle,
      '--agent-url',
      front.url,
    ]);
    const since = Date.now();
    const left = [...this.#real];
    const real = Array.from({ length: AT_ONCE }, async () => {
      for (let name = left.shift(); name !== undefined; name = left.shift())
        await this.#start(name, bundle);
    });
    await Promise.all([...real, ...this.#simulate(bundle)]);
    await this.#until(
      'enrolled with one bundle and connected',
      ({ connected }) => connected,
      since,
    );
    const late = join(world.folder, 'agents', 'late');
    const refused = await run('aliquot-agent', [
      'enroll',
      bundle,
      '--data',
      late,
      '--name',
      'pc-late',
    ]);
    assert.equal(refused.code, 1, 'one more than the uses is refused');
    assert.match(refused.stderr, /^aliquot-agent: .*\[[A-Z_]+\]\n$/, 'in one line with its code');
    assert.equal((await this.#agents()).length, this.#all);
    this.#print(
      `number ${this.#all + 1} is refused: ${refused.stderr.trim().replace('aliquot-agent: ', '')}`,
    );
  }

  async #start(name: string, bundle: string): Promise<void> {
    const { data } = this.#place(name);
    const enrolled = await run('aliquot-agent', ['enroll', bundle, '--data', data, '--name', name]);
    assert.equal(enrolled.code, 0, enrolled.stderr);
    const service = new DemoService('aliquot-agent', ['run', '--data', data]);
    this.#services.push(service);
    await service.event('running');
  }

  /**
   * The PCs without a process of their own; each answer rejects when its process ends, and resolves
   * when all of its PCs are enrolled.
   */
  #simulate(bundle: string): readonly Promise<void>[] {
    const names = this.#names.slice(this.#real.length);
    const each = Math.ceil(names.length / WORKERS);
    return Array.from({ length: Math.ceil(names.length / Math.max(each, 1)) }, (_, at) => {
      const order: DeskOrder = {
        bundle,
        folder: join(this.#world.folder, 'agents'),
        names: names.slice(at * each, (at + 1) * each),
      };
      const worker = fork(join(import.meta.dirname, 'desk-worker.ts'), [JSON.stringify(order)], {
        execArgv: ['--conditions=aliquot-source'],
      });
      this.#workers.push(worker);
      return new Promise<void>((resolve, reject) => {
        worker.once('message', () => resolve());
        worker.once('exit', (code) => reject(new Error(`simulated PCs ended with ${code}`)));
      });
    });
  }

  /** The policy that everybody gets: all watch one folder. */
  get #sources(): string {
    return `sources: [{ path: "${join(this.#world.folder, 'results')}", quietPeriodSeconds: 1 }]`;
  }

  async settings(): Promise<void> {
    const world = this.#world;
    await world.write('results/run-1.csv', '1;2\n');
    const file = await this.#policy('policy.yaml', `agents:\n  defaults:\n    ${this.#sources}\n`);
    assert.equal((await run('aliquot', ['policy', 'check', file])).code, 0);
    const since = Date.now();
    await world.aliquot(['policy', 'set', file, '--kit', world.kit]);
    const said = Date.now();
    await this.#until('settings in force, from the start of `policy set`', isInForce(1), since);
    this.#print(
      `  of which the command itself took ${seconds(since, said)}, and the last PC was done ${seconds(said)} after it`,
    );
    await this.#until(
      'the folder that they name backed up',
      ({ files }) => files === 1,
      since,
      this.#real,
    );
  }

  /** Signed as `policy set` signs, of a text that it never lets pass. */
  async #force(text: string, revision: number): Promise<void> {
    const kit = await openKit(await readFile(this.#world.kit, 'utf8'), PASSPHRASE);
    const { descriptor, authority: key } = kit;
    const policyKey = policyKeyFor(kit.pathSecret, descriptor.vaultId);
    const pcs = deskPcs(descriptor, (await this.#vault.roster.list()).agents);
    const issuedAtMs = Date.now();
    const sealed = sealPolicyText(
      policyKey.publicKey,
      descriptor,
      `agents: {}\n# ${text}`,
      systemRandom,
    );
    const policy = issuePolicy(key, {
      version: 1,
      vaultId: descriptor.vaultId,
      revision,
      setAtMs: issuedAtMs,
      sealedHash: sha256(sealed),
      rules: undefined,
    });
    const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');
    const settings = pcs.map((pc) => {
      const terms = {
        sequence: revision,
        issuedAtMs,
        expiresAtMs: issuedAtMs + YEAR_MS,
        groups: [],
      };
      const contents = { version: 1, text, answerKey: policyKey.publicKey } as const;
      return {
        signed: base64(
          encodeSigned(issueSettings(key, descriptor, pc, terms, contents, systemRandom)),
        ),
        waits: false,
      };
    });
    await this.#vault.desk.setPolicy({
      policy: base64(encodeSigned(policy)),
      sealed: base64(sealed),
      certificate: undefined,
      settings,
    });
  }

  async wrongFile(): Promise<void> {
    const world = this.#world;
    const wrong = 'sources: [{ path: not/absolute }]';
    const file = await this.#policy('wrong.yaml', `agents:\n  defaults:\n    ${wrong}\n`);
    const refusals = [
      await run('aliquot', ['policy', 'check', file]),
      await world.tryAliquot(['policy', 'set', file, '--kit', world.kit]),
    ];
    for (const { code, stderr } of refusals) {
      assert.equal(code, 2, 'a wrong file is refused');
      assert.match(stderr, /:3:\d+: .*absolute/, 'with its place');
    }
    const since = Date.now();
    await this.#force(`${wrong}\n`, 2);
    await this.#until(
      'a wrong file, forced past the desk, refused',
      ({ settings }) =>
        settings.reply?.sequence === 2 &&
        settings.reply.outcome === 'refused' &&
        settings.inForce === 1,
      since,
    );
    await world.write('results/run-2.csv', '3;4\n');
    await this.#until(
      'and every PC goes on by the settings before',
      ({ files, connected }) => connected && files === 2,
      since,
      this.#real,
    );
    for (const { connected } of await this.#agents()) assert.ok(connected);
  }

  async canary(): Promise<void> {
    const world = this.#world;
    const first = [this.#names[0] ?? '', this.#names.at(-1) ?? ''];
    const text = `agents:\n  defaults:\n    scanIntervalSeconds: 600\n    ${this.#sources}\n  groups:\n    first: { names: [${first.join(', ')}] }\n`;
    const file = await this.#policy('canary.yaml', text);
    const since = Date.now();
    await world.aliquot(['policy', 'set', file, '--kit', world.kit, '--canary', 'first']);
    await this.#until('canary in force', isInForce(3), since, first);
    const held = this.#names.filter((name) => !first.includes(name));
    // Anyone who comes again gets nothing either.
    this.#fronts[0]?.drop();
    await this.#until(
      'the others, connected anew, held back',
      ({ settings, connected }) => connected && settings.inForce === 1 && settings.waiting === 3,
      since,
      held,
    );
    const promoted = Date.now();
    await world.aliquot(['policy', 'promote']);
    await this.#until('promoted', isInForce(3), promoted);
  }

  async addresses(): Promise<void> {
    const world = this.#world;
    const [old] = this.#fronts;
    const next = await this.#front('next');
    let since = Date.now();
    await this.#set([next.url], next.ca);
    await this.#at(
      next,
      'another address, authority and certificate, confirmed by a session',
      since,
    );
    await old?.close();
    await this.#until('the old address switched off', ({ connected }) => connected, since);
    const stranger = await World.open();
    try {
      const wrong = await this.#front('wrong', Number(new URL(stranger.url).port));
      since = Date.now();
      await this.#set([wrong.url], wrong.ca);
      while (wrong.connections < this.#all) await delay(LOOK_MS);
      await this.#until(
        'a wrong one tried by all, and the old one used again',
        ({ connected }) => connected,
        since,
      );
    } finally {
      await stranger.close();
    }
    // To anyone who comes back too: PCs that were off remember where they were last.
    next.drop();
    await this.#until('back once more', ({ connected }) => connected);
    await world.write('results/run-3.csv', '5;6\n');
    await this.#until(
      'and all is backed up there',
      ({ files }) => files === 3,
      Date.now(),
      this.#real,
    );
    const [some = ''] = this.#real;
    assert.equal((await statusOf(this.#place(some)))['collector'], next.url);
  }

  #set(urls: readonly string[], ca: string) {
    const world = this.#world;
    return world.aliquot([
      'collector',
      'address',
      'set',
      ...urls,
      '--kit',
      world.kit,
      '--tls-ca',
      ca,
    ]);
  }

  async #at(front: TlsFront, what: string, since: number): Promise<void> {
    for (;;) {
      const counts = await this.#vault.connectedBy();
      if (counts.get(new URL(front.url).host) === this.#all) break;
      await delay(LOOK_MS);
    }
    await this.#until(what, ({ connected }) => connected, since);
  }

  async close(): Promise<void> {
    for (const worker of this.#workers) worker.kill('SIGKILL');
    await Promise.all(this.#services.map((service) => service.stop('SIGKILL')));
    await Promise.all(this.#fronts.map((front) => front.close()));
    await this.#world.close();
  }
}

const seconds = (since: number, until = Date.now()): string =>
  `${((until - since) / 1000).toFixed(1)} s`;

const isInForce =
  (sequence: number) =>
  ({ settings }: AgentInfo): boolean =>
    settings.inForce === sequence &&
    settings.reply?.sequence === sequence &&
    settings.reply.outcome === 'applied';
