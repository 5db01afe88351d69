import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createKit, sealKit } from '@aliquot/shared/keys/kit';
import { systemRandom } from '@aliquot/shared/ports';
import { sendRules } from '../../collector/testing/retention/send-rules.ts';
import { Cable } from '../../demo/cable.ts';
import { DemoService, type Finished, type JsonLine, mustRun, run } from '../../demo/programs.ts';
import { freePort } from '../../test/ports.ts';
import { BentClock } from './clocks.ts';
import { CrowdedDisk } from './disk.ts';
import { Kept } from './kept.ts';

const PASSPHRASE = 'correct horse battery staple';
const COLLECTOR_MEBIBYTES = 3000;
const AGENT_MEBIBYTES = 160;

/** One program's surroundings, each of which can be spoilt and healed. */
export interface Side {
  readonly name: string;
  readonly program: Kept;
  readonly clock: BentClock;
  /** Undefined where this machine mounts nothing. */
  readonly disk: CrowdedDisk | undefined;
}

export interface SoakPc extends Side {
  /** The agent's own folder. */
  readonly data: string;
  /** Where its instruments write. */
  readonly source: string;
}

/**
 * A collector and lab PCs of the built programs, each on a disk and with a clock of its own, and
 * one cable between them.
 */
export class Plant {
  readonly #root: string;
  readonly #disks: CrowdedDisk[] = [];
  readonly pcs: SoakPc[] = [];
  readonly cable: Cable;
  readonly collector: Side;
  /** Of those who give commands: what the collector's is, but for what is done to that. */
  readonly operatorClock: BentClock;
  readonly collectorData: string;
  readonly kit: string;
  readonly url: string;
  readonly token: string;

  private constructor(parts: {
    root: string;
    disk: CrowdedDisk | undefined;
    cable: Cable;
    collector: Side;
    operatorClock: BentClock;
    collectorData: string;
    kit: string;
    url: string;
    token: string;
  }) {
    this.#root = parts.root;
    if (parts.disk) this.#disks.push(parts.disk);
    this.cable = parts.cable;
    this.collector = parts.collector;
    this.operatorClock = parts.operatorClock;
    this.collectorData = parts.collectorData;
    this.kit = parts.kit;
    this.url = parts.url;
    this.token = parts.token;
  }

  /** @param rule The one rule of its policy. */
  static async open(rule: string, log: (line: string) => void): Promise<Plant> {
    const root = await mkdtemp(join(tmpdir(), 'aliquot-soak-'));
    process.env['ALIQUOT_PASSPHRASE'] = PASSPHRASE;
    process.env['ALIQUOT_STATE'] = join(root, 'operator');
    const { folder, disk } = await diskAt(join(root, 'collector-disk'), COLLECTOR_MEBIBYTES, log);
    const collectorData = join(folder, 'collector');
    await mustRun('aliquot', ['init', '--data', collectorData]);
    const port = await freePort();
    const clock = new BentClock(join(root, 'collector.clock'));
    await clock.set(0);
    const operatorClock = new BentClock(join(root, 'operator.clock'));
    await operatorClock.set(0);
    const args = ['serve', '--data', collectorData, '--listen', `127.0.0.1:${port}`];
    const program = new Kept(
      () => new DemoService('aliquot', args, { ...clock.environment, ALIQUOT_LOG_LEVEL: 'warn' }),
    );
    const url = `http://127.0.0.1:${port}`;
    const first = new DemoService('aliquot', args);
    await first.event('listening');
    const kit = join(root, 'lab.kit');
    const keys = createKit({ name: 'lab', blind: false, nowMs: Date.now() }, systemRandom);
    await writeFile(kit, sealKit(keys, PASSPHRASE, systemRandom, { logN: 4, r: 8, p: 1 }), {
      mode: 0o600,
    });
    const token = (await readFile(join(collectorData, 'admin.token'), 'utf8')).trim();
    const cable = new Cable({ host: '127.0.0.1', port });
    await cable.plug();
    const plant = new Plant({
      root,
      disk,
      cable,
      collector: { name: 'collector', program, clock, disk },
      operatorClock,
      collectorData,
      kit,
      url,
      token,
    });
    await plant.operate(['vault', 'add', '--kit', kit]);
    for (const name of ['hplc-1', 'ms-2']) await plant.#addPc(name, log);
    const { status } = await sendRules({ url, token }, { path: kit, passphrase: PASSPHRASE }, rule);
    if (status !== 200) throw new Error(`the rule was not taken: ${status}`);
    await first.stop();
    return plant;
  }

  async #addPc(name: string, log: (line: string) => void): Promise<void> {
    const bundle = join(this.#root, `${name}.bundle`);
    await this.operate(['enroll', name, '--kit', this.kit, '--out', bundle], this.cable.url);
    const { folder, disk } = await diskAt(join(this.#root, `${name}-disk`), AGENT_MEBIBYTES, log);
    if (disk) this.#disks.push(disk);
    const data = join(folder, 'agent');
    await mustRun('aliquot-agent', ['enroll', bundle, '--data', data]);
    const source = join(this.#root, `${name}-results`);
    await mkdir(source);
    const config = [
      'scanIntervalSeconds: 4',
      'queue: { maxBytes: 100000000, minFreeBytes: 3000000 }',
      `sources: [{ path: ${JSON.stringify(source)}, quietPeriodSeconds: 1, exclude: ["*.tmp"] }]`,
      '',
    ].join('\n');
    await writeFile(join(data, 'agent.yaml'), config, { mode: 0o600 });
    const clock = new BentClock(join(this.#root, `${name}.clock`));
    await clock.set(0);
    const program = new Kept(
      () => new DemoService('aliquot-agent', ['run', '--data', data], clock.environment),
    );
    this.pcs.push({ name, program, clock, disk, data, source });
  }

  /** An operator's command, past the cable unless told otherwise. */
  async operate(args: readonly string[], url = this.url): Promise<readonly JsonLine[]> {
    return (await mustRun('aliquot', args, this.#environment(url))).lines;
  }

  /** The same, however it ends. */
  tryOperate(args: readonly string[]): Promise<Finished> {
    return run('aliquot', args, this.#environment(this.url));
  }

  /** Days pass at the collector's, and for nobody else. */
  async pass(ms: number): Promise<void> {
    for (const clock of [this.operatorClock, this.collector.clock]) await clock.pass(ms);
  }

  #environment(url: string): NodeJS.ProcessEnv {
    return { ...this.operatorClock.environment, ALIQUOT_URL: url, ALIQUOT_TOKEN: this.token };
  }

  /** What the agent's status says now; nothing while it cannot be asked. */
  async statusOf(pc: SoakPc): Promise<readonly JsonLine[]> {
    const { code, lines } = await run('aliquot-agent', ['status', '--data', pc.data, '--json']);
    return code === 0 ? lines : [];
  }

  get sides(): readonly Side[] {
    return [this.collector, ...this.pcs];
  }

  async close(): Promise<void> {
    for (const { program } of this.sides) {
      program.thaw();
      await program.stop();
    }
    await this.cable.pull();
    for (const disk of this.#disks) await disk.unmount();
    await rm(this.#root, { recursive: true, force: true });
  }
}

async function diskAt(
  folder: string,
  mebibytes: number,
  log: (line: string) => void,
): Promise<{ folder: string; disk: CrowdedDisk | undefined }> {
  const disk = await CrowdedDisk.mount(folder, mebibytes);
  if (typeof disk !== 'string') return { folder, disk };
  log(`no disk is filled: ${disk}`);
  return { folder, disk: undefined };
}
