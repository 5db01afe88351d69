import { randomBytes } from 'node:crypto';
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Cable } from './cable.ts';
import { DemoService, type JsonLine, mustRun } from './programs.ts';

/**
 * A small laboratory on this machine: one collector, and lab PCs whose only way to it is a cable
 * that can be pulled.
 */

export interface LabPc {
  readonly name: string;
  /** The agent's own folder. */
  readonly data: string;
  /** Where its instruments write. */
  readonly source: string;
}

/** What `aliquot-agent status` says, as far as somebody who watches needs it. */
export interface PcStatus {
  readonly connection: string;
  readonly total: number;
  readonly safe: number;
  readonly queued: number;
  readonly settling: number;
  readonly problems: number;
  /** When the last whole scan ended; 0 before the first. */
  readonly lastScanMs: number;
}

export class DemoLab {
  readonly folder: string;
  readonly kit: string;
  readonly environment: NodeJS.ProcessEnv;
  readonly cable: Cable;
  readonly #services: DemoService[];

  private constructor(
    folder: string,
    environment: NodeJS.ProcessEnv,
    cable: Cable,
    server: DemoService,
  ) {
    this.folder = folder;
    this.kit = join(folder, 'lab.kit');
    this.environment = environment;
    this.cable = cable;
    this.#services = [server];
  }

  /**
   * Makes the collector, its vault and the cable. The passphrase is random and known to this
   * process only.
   */
  static async open(folder: string): Promise<DemoLab> {
    const data = join(folder, 'collector');
    await mustRun('aliquot', ['init', '--data', data, '--name', 'Demonstration']);
    const server = new DemoService('aliquot', ['serve', '--data', data, '--listen', '127.0.0.1:0']);
    const url = new URL(String((await server.event('listening'))['url']));
    const cable = new Cable({ host: url.hostname, port: Number(url.port) });
    await cable.plug();
    const environment = {
      ALIQUOT_URL: cable.url,
      ALIQUOT_TOKEN: (await readFile(join(data, 'admin.token'), 'utf8')).trim(),
      ALIQUOT_STATE: join(folder, 'operator'),
      ALIQUOT_PASSPHRASE: randomBytes(16).toString('hex'),
    };
    const lab = new DemoLab(folder, environment, cable, server);
    await lab.operator(['kit', 'create', '--out', lab.kit, '--vault', 'demo']);
    await lab.operator(['vault', 'add', '--kit', lab.kit]);
    return lab;
  }

  /** Runs an operator's command with the lab's kit, token and address. */
  async operator(args: readonly string[]): Promise<readonly JsonLine[]> {
    return (await mustRun('aliquot', args, this.environment)).lines;
  }

  /** Enrols a PC and starts its agent. */
  async addPc(name: string): Promise<LabPc> {
    const bundle = join(this.folder, `${name}.bundle`);
    const data = join(this.folder, `${name}-agent`);
    const source = join(this.folder, `${name}-results`);
    await this.operator(['enroll', name, '--kit', this.kit, '--out', bundle]);
    await mustRun('aliquot-agent', ['enroll', bundle, '--data', data]);
    await mkdir(source);
    const config = `scanIntervalSeconds: 4\nsources:\n  - path: ${JSON.stringify(source)}\n    quietPeriodSeconds: 2\n`;
    await writeFile(join(data, 'agent.yaml'), config);
    await chmod(join(data, 'agent.yaml'), 0o600);
    const service = new DemoService('aliquot-agent', ['run', '--data', data]);
    this.#services.push(service);
    await service.event('running');
    return { name, data, source };
  }

  async status(pc: LabPc): Promise<PcStatus> {
    const { lines } = await mustRun('aliquot-agent', ['status', '--data', pc.data, '--json']);
    const line = lines.find((one) => one['event'] === 'status');
    if (!line) throw new Error(`the agent of ${pc.name} gave no status`);
    const results = line['results'] as Record<
      'total' | 'safe' | 'queued' | 'capturing' | 'settling' | 'problem',
      number
    >;
    return {
      connection: String(line['connection']),
      total: results.total,
      safe: results.safe,
      queued: Math.max(results.queued, (line['queue'] as { entries: number }).entries),
      settling: results.settling + results.capturing,
      problems: results.problem,
      lastScanMs: typeof line['lastScan'] === 'string' ? Date.parse(line['lastScan']) : 0,
    };
  }

  /** Stops everything in order; gives the exit codes that were not 0. */
  async close(): Promise<number[]> {
    const codes: number[] = [];
    for (const service of [...this.#services].reverse()) codes.push(await service.stop());
    await this.cable.pull();
    return codes.filter((code) => code !== 0);
  }
}
