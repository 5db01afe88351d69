import { execFile } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import {
  DemoService,
  type Finished,
  type JsonLine,
  type ProgramName,
  run,
} from '../../demo/programs.ts';

/**
 * The built programs on three machines that Linux makes of network namespaces: the lab PC, the
 * collector, and a router between them on which cables are pulled, packets dropped and the rate
 * limited. Neither end is told of what happens on the router, as in life.
 */

const command = promisify(execFile);
const pcPlace = { address: '10.77.1.2', gateway: '10.77.1.1' };
const serverPlace = { address: '10.77.2.2', gateway: '10.77.2.1' };
const PORT = 8480;
const PASSPHRASE = 'correct horse battery staple';

/** Why there can be no namespaces here; undefined when there can. */
export async function whyNoNamespaces(): Promise<string | undefined> {
  if (process.platform !== 'linux') return 'network namespaces are for Linux';
  if (process.getuid?.() !== 0) return 'network namespaces need root';
  const probe = `aliquot-probe-${process.pid}`;
  try {
    await command('openssl', ['version']);
    await command('ip', ['netns', 'add', probe]);
    await command('ip', [
      'netns',
      'exec',
      probe,
      'tc',
      'qdisc',
      'add',
      'dev',
      'lo',
      'root',
      'tbf',
      ...'rate 1mbit burst 32k latency 1s'.split(' '),
    ]);
    return undefined;
  } catch (error) {
    return `network namespaces do not work here: ${error instanceof Error ? error.message.split('\n')[0] : String(error)}`;
  } finally {
    await command('ip', ['netns', 'del', probe]).catch(() => undefined);
  }
}

/** How the way between PC and collector is broken. */
export type Outage = 'drop' | 'link down';

export interface PcAgent {
  readonly name: string;
  readonly data: string;
  readonly source: string;
  readonly service: DemoService;
  /** Lines of its log, as they come. */
  readonly onLog: (listener: (line: JsonLine) => void) => () => void;
}

export class Namespaces {
  readonly folder: string;
  readonly #names: Readonly<Record<'pc' | 'router' | 'server', string>>;
  readonly #services: DemoService[] = [];
  #server: DemoService | undefined;

  private constructor(folder: string) {
    this.folder = folder;
    const own = (what: string): string => `aliquot-${process.pid}-${what}`;
    this.#names = { pc: own('pc'), router: own('router'), server: own('server') };
  }

  /** Machines, network, a serving collector and its vault. */
  static async open(): Promise<Namespaces> {
    const world = new Namespaces(await mkdtemp(join(tmpdir(), 'aliquot-netns-')));
    try {
      await world.#build();
      await world.#found();
      return world;
    } catch (error) {
      await world.close();
      throw error;
    }
  }

  async #build(): Promise<void> {
    const { pc, router, server } = this.#names;
    for (const name of [pc, router, server]) {
      await command('ip', ['netns', 'add', name]);
      await this.#in(name, 'ip', 'link', 'set', 'lo', 'up');
    }
    await this.#in(router, 'sysctl', '-qw', 'net.ipv4.ip_forward=1');
    for (const [name, { address, gateway }, port] of [
      [pc, pcPlace, 'to-pc'],
      [server, serverPlace, 'to-server'],
    ] as const) {
      await command('ip', [
        'link',
        'add',
        port,
        'netns',
        router,
        'type',
        'veth',
        'peer',
        'name',
        'lan',
        'netns',
        name,
      ]);
      await this.#in(router, 'ip', 'addr', 'add', `${gateway}/24`, 'dev', port);
      await this.#in(router, 'ip', 'link', 'set', port, 'up');
      await this.#in(name, 'ip', 'addr', 'add', `${address}/24`, 'dev', 'lan');
      await this.#in(name, 'ip', 'link', 'set', 'lan', 'up');
      await this.#in(name, 'ip', 'route', 'add', 'default', 'via', gateway);
    }
  }

  async #found(): Promise<void> {
    await this.operator(['init', '--data', this.#collectorData]);
    const [key, certificate] = [join(this.folder, 'tls.key'), this.#certificate];
    const made = [
      'req',
      '-x509',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:P-256',
      '-nodes',
      '-days',
      '2',
      '-subj',
      '/CN=aliquot',
    ];
    await command('openssl', [
      ...made,
      '-addext',
      `subjectAltName=IP:${serverPlace.address}`,
      '-keyout',
      key,
      '-out',
      certificate,
    ]);
    await this.serve();
    await this.operator(['kit', 'create', '--out', this.kit, '--vault', 'lab']);
    await this.operator(['vault', 'add', '--kit', this.kit]);
  }

  get kit(): string {
    return join(this.folder, 'lab.kit');
  }

  get #collectorData(): string {
    return join(this.folder, 'collector');
  }

  get #certificate(): string {
    return join(this.folder, 'tls.pem');
  }

  /** Starts the collector; resolves when it listens. */
  async serve(): Promise<void> {
    const tls = ['--tls-cert', this.#certificate, '--tls-key', join(this.folder, 'tls.key')];
    const args = [
      'serve',
      '--data',
      this.#collectorData,
      '--listen',
      `${serverPlace.address}:${PORT}`,
      ...tls,
    ];
    this.#server = new DemoService('aliquot', args, {}, this.#under('server'));
    await this.#server.event('listening');
  }

  async unserve(signal: NodeJS.Signals): Promise<void> {
    await this.#server?.stop(signal);
    this.#server = undefined;
  }

  /** Runs an operator's command on the collector's machine; throws unless it ends with 0. */
  async operator(args: readonly string[]): Promise<Finished> {
    const url = `https://${serverPlace.address}:${PORT}`;
    const token = await readFile(join(this.#collectorData, 'admin.token'), 'utf8').catch(() => '');
    const environment = {
      ALIQUOT_PASSPHRASE: PASSPHRASE,
      ALIQUOT_URL: url,
      ALIQUOT_TLS_CA: this.#certificate,
      ALIQUOT_TOKEN: token.trim(),
    };
    return this.#must('aliquot', args, environment, 'server');
  }

  /** Runs a command of the agent on its PC; throws unless it ends with 0. */
  async agentCommand(args: readonly string[]): Promise<Finished> {
    return this.#must('aliquot-agent', args, {}, 'pc');
  }

  /** An enrolled agent whose service runs on the PC. */
  async pcAgent(name: string): Promise<PcAgent> {
    const bundle = join(this.folder, `${name}.bundle`);
    const data = join(this.folder, `${name}-agent`);
    const source = join(this.folder, `${name}-results`);
    await this.operator(['enroll', name, '--kit', this.kit, '--out', bundle]);
    await this.agentCommand(['enroll', bundle, '--data', data]);
    await mkdir(source);
    const config = `scanIntervalSeconds: 5\nsources:\n  - path: ${JSON.stringify(source)}\n    quietPeriodSeconds: 1\n`;
    await writeFile(join(data, 'agent.yaml'), config);
    await chmod(join(data, 'agent.yaml'), 0o600);
    const service = new DemoService(
      'aliquot-agent',
      ['run', '--data', data],
      {},
      this.#under('pc'),
    );
    this.#services.push(service);
    const listeners = new Set<(line: JsonLine) => void>();
    if (service.child.stderr !== null) {
      createInterface({ input: service.child.stderr }).on('line', (text) => {
        if (!text.startsWith('{')) return;
        for (const listener of [...listeners]) listener(JSON.parse(text) as JsonLine);
      });
    }
    const onLog = (listener: (line: JsonLine) => void): (() => void) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    };
    await service.event('running');
    return { name, data, source, service, onLog };
  }

  /** Breaks the way. */
  async breakWay(how: Outage): Promise<void> {
    if (how === 'link down') return this.#router('ip', 'link', 'set', 'to-pc', 'down');
    // No answer to either side: a firewall's DROP, or a routing rule that does the same where no
    // iptables is installed.
    if (await this.#hasFirewall()) return this.#router('iptables', '-I', 'FORWARD', '-j', 'DROP');
    for (const port of ['to-pc', 'to-server'])
      await this.#router('ip', 'rule', 'add', 'pref', '10', 'iif', port, 'blackhole');
  }

  async mendWay(how: Outage): Promise<void> {
    if (how === 'link down') return this.#router('ip', 'link', 'set', 'to-pc', 'up');
    if (await this.#hasFirewall()) return this.#router('iptables', '-D', 'FORWARD', '-j', 'DROP');
    for (const port of ['to-pc', 'to-server'])
      await this.#router('ip', 'rule', 'del', 'pref', '10', 'iif', port, 'blackhole');
  }

  #hasFirewall(): Promise<boolean> {
    return this.#router('iptables', '-S').then(
      () => true,
      () => false,
    );
  }

  /** Limits what goes either way to so many kbit/s. */
  async limitRate(kilobits: number): Promise<void> {
    const filter = ['tbf', 'rate', `${kilobits}kbit`, 'burst', '16k', 'latency', '400ms'];
    for (const port of ['to-pc', 'to-server'])
      await this.#router('tc', 'qdisc', 'replace', 'dev', port, 'root', ...filter);
  }

  async close(): Promise<void> {
    await Promise.all([...this.#services, this.#server].map((service) => service?.stop('SIGKILL')));
    for (const name of Object.values(this.#names))
      await command('ip', ['netns', 'del', name]).catch(() => undefined);
    await rm(this.folder, { recursive: true, force: true });
  }

  async #must(
    name: ProgramName,
    args: readonly string[],
    environment: NodeJS.ProcessEnv,
    where: 'pc' | 'server',
  ): Promise<Finished> {
    const finished = await run(name, args, environment, this.#under(where));
    if (finished.code !== 0)
      throw new Error(`${name} ${args[0]} ended with ${finished.code}: ${finished.stderr.trim()}`);
    return finished;
  }

  #under(where: 'pc' | 'server'): string[] {
    return ['ip', 'netns', 'exec', this.#names[where]];
  }

  async #router(...args: readonly string[]): Promise<void> {
    await this.#in(this.#names.router, ...args);
  }

  async #in(name: string, ...args: readonly string[]): Promise<void> {
    await command('ip', ['netns', 'exec', name, ...args]);
  }
}
