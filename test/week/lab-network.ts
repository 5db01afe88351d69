import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { DemoService, type Finished, type ProgramName, run } from '../../demo/programs.ts';

/**
 * A lab's network for one test: the server room and the lab are network namespaces with a cable
 * between them, names are in their hosts files, and an authority of the house signs certificates.
 */

const command = promisify(execFile);
const LAB = '10.78.0.1/24';
/** The server has two addresses, so that a collector can move from the one to the other. */
const serverAddresses = ['10.78.0.11', '10.78.0.12'] as const;
/** What the addresses are called. */
export const hostAddresses: Readonly<Record<string, string>> = {
  'backup.lab.test': serverAddresses[0],
  'vault.lab.test': serverAddresses[1],
};

export type LabPlace = 'server' | 'lab';

export class LabNetwork {
  readonly folder: string;
  readonly #names: Readonly<Record<LabPlace, string>>;
  readonly #services = new Set<DemoService>();

  private constructor(folder: string) {
    this.folder = folder;
    this.#names = { server: `aliquot-week-${process.pid}-s`, lab: `aliquot-week-${process.pid}-l` };
  }

  static async open(): Promise<LabNetwork> {
    const network = new LabNetwork(await mkdtemp(join(tmpdir(), 'aliquot-week-')));
    try {
      await network.#build();
      return network;
    } catch (error) {
      await network.close();
      throw error;
    }
  }

  async #build(): Promise<void> {
    const { server, lab } = this.#names;
    const hosts = Object.entries(hostAddresses).map(([name, address]) => `${address} ${name}\n`);
    for (const name of [server, lab]) {
      await command('ip', ['netns', 'add', name]);
      // `ip netns exec` shows a program this file as /etc/hosts.
      await mkdir(`/etc/netns/${name}`, { recursive: true });
      await writeFile(`/etc/netns/${name}/hosts`, `127.0.0.1 localhost\n${hosts.join('')}`);
      await this.#in(name, 'ip', 'link', 'set', 'lo', 'up');
    }
    await command('ip', [
      'link',
      'add',
      'cable',
      'netns',
      lab,
      'type',
      'veth',
      'peer',
      'name',
      'cable',
      'netns',
      server,
    ]);
    await this.#in(lab, 'ip', 'addr', 'add', LAB, 'dev', 'cable');
    for (const address of serverAddresses)
      await this.#in(server, 'ip', 'addr', 'add', `${address}/24`, 'dev', 'cable');
    for (const name of [server, lab]) await this.#in(name, 'ip', 'link', 'set', 'cable', 'up');
    const ec = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
    await this.#openssl(
      'req',
      '-x509',
      ...ec,
      '-days',
      '900',
      '-subj',
      '/CN=House CA',
      '-keyout',
      'ca.key',
      '-out',
      'ca.pem',
    );
  }

  /**
   * A certificate of the house's authority for a name, with a key of its own: `NAME.pem`,
   * `NAME.key`.
   */
  async certificate(name: string, host: string): Promise<void> {
    const ec = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
    await this.#openssl(
      'req',
      ...ec,
      '-subj',
      `/CN=${host}`,
      '-keyout',
      `${name}.key`,
      '-out',
      `${name}.csr`,
    );
    await writeFile(join(this.folder, 'ext'), `subjectAltName=DNS:${host}\n`);
    const signed = [
      '-CA',
      'ca.pem',
      '-CAkey',
      'ca.key',
      '-CAcreateserial',
      '-days',
      '90',
      '-extfile',
      'ext',
    ];
    await this.#openssl('x509', '-req', '-in', `${name}.csr`, ...signed, '-out', `${name}.pem`);
  }

  /** Runs a command to its end on one of the two sides, in the lab's folder. */
  run(
    where: LabPlace,
    name: ProgramName,
    args: readonly string[],
    environment: NodeJS.ProcessEnv = {},
  ): Promise<Finished> {
    return run(name, args, environment, this.#under(where));
  }

  start(
    where: LabPlace,
    name: ProgramName,
    args: readonly string[],
    environment: NodeJS.ProcessEnv = {},
  ): DemoService {
    const service = new DemoService(name, args, environment, this.#under(where));
    this.#services.add(service);
    return service;
  }

  async stop(service: DemoService, signal: NodeJS.Signals = 'SIGTERM'): Promise<number> {
    this.#services.delete(service);
    return service.stop(signal);
  }

  async close(): Promise<void> {
    await Promise.all([...this.#services].map((service) => service.stop('SIGKILL')));
    for (const name of Object.values(this.#names)) {
      await command('ip', ['netns', 'del', name]).catch(() => undefined);
      await rm(`/etc/netns/${name}`, { recursive: true, force: true });
    }
    await rm(this.folder, { recursive: true, force: true });
  }

  /** `env -C` has every program run in the lab's folder, so that the commands read as on a page. */
  #under(where: LabPlace): string[] {
    return ['ip', 'netns', 'exec', this.#names[where], 'env', '-C', this.folder];
  }

  async #openssl(...args: readonly string[]): Promise<void> {
    await command('openssl', args, { cwd: this.folder });
  }

  async #in(name: string, ...args: readonly string[]): Promise<void> {
    await command('ip', ['netns', 'exec', name, ...args]);
  }
}
