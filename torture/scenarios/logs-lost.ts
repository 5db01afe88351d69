import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { TortureScenario } from '@aliquot/shared/testing/scenario';
import { run } from '../../demo/programs.ts';
import { SmallDisk } from '../../test/small-disk.ts';
import { World } from '../../test/world.ts';

/** Without a time limit it ends after this. */
const LONGEST_MS = 600_000;
/** Long enough that a pipe of 64 KiB is full several times over. */
const SHORTEST_MS = 20_000;
const LOG_DISK_MEBIBYTES = 1;

type Log = 'disk full' | 'reader stalled';

/** A service whose log goes to a full disk, or into a pipe that nobody reads. */
class Unlogged {
  readonly #child: ChildProcess;
  readonly #closed: Promise<number>;

  constructor(
    name: 'aliquot' | 'aliquot-agent',
    args: readonly string[],
    environment: NodeJS.ProcessEnv,
    logFile: string | undefined,
  ) {
    const program = fileURLToPath(new URL(`../../bin/${name}`, import.meta.url));
    const log = logFile === undefined ? 'pipe' : openSync(logFile, 'a');
    this.#child = spawn(program, args, {
      env: { ...process.env, ...environment },
      stdio: ['ignore', 'pipe', log],
    });
    if (typeof log === 'number') closeSync(log);
    this.#closed = new Promise((resolve) =>
      this.#child.once('close', (code, signal) => resolve(code ?? (signal === null ? 1 : 128))),
    );
  }

  /** Resolves with its first line, which says that it is ready. */
  async ready(): Promise<string> {
    if (this.#child.stdout === null) throw new Error('no standard output');
    const lines = createInterface({ input: this.#child.stdout });
    return new Promise((resolve, reject) => {
      lines.once('line', resolve);
      void this.#closed.then((code) =>
        reject(new Error(`it ended with ${code} before it was ready`)),
      );
    });
  }

  get runs(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** What it has written into a pipe by now, read at last. */
  async #drained(): Promise<string> {
    let text = '';
    this.#child.stderr?.on('data', (bytes: Buffer) => {
      text += bytes.toString();
    });
    await this.#closed;
    return text;
  }

  /** Its exit code, and what a reader that wakes up in the end still gets. */
  async stop(): Promise<{ readonly code: number; readonly text: string }> {
    const text = this.#child.stderr === null ? Promise.resolve('') : this.#drained();
    this.#child.kill('SIGTERM');
    return { code: await this.#closed, text: await text };
  }
}

interface Outcome {
  readonly files: number;
  readonly commands: number;
  readonly wrong: readonly string[];
}

/**
 * A collector and an agent under load, whose logs go nowhere: what is written is protected anyway,
 * and every exit code is right.
 */
async function underLoad(log: Log, over: () => boolean): Promise<Outcome> {
  const wrong: string[] = [];
  const world = await World.open();
  let disk: SmallDisk | undefined;
  try {
    const agent = await world.agent('pc');
    const source = await world.place('results');
    const config = `logLevel: trace\nscanIntervalSeconds: 1\nsources: [{path: ${JSON.stringify(source)}, quietPeriodSeconds: 0}]\n`;
    await writeFile(join(agent.data, 'agent.yaml'), config);
    const logs = {
      collector: undefined as string | undefined,
      agent: undefined as string | undefined,
    };
    if (log === 'disk full') {
      const mounted = await SmallDisk.mount(join(world.folder, 'logs'), LOG_DISK_MEBIBYTES);
      if (typeof mounted === 'string') throw new Error(mounted);
      disk = mounted;
      logs.collector = join(disk.folder, 'collector.log');
      logs.agent = join(disk.folder, 'agent.log');
      await writeFile(join(disk.folder, 'full'), Buffer.alloc(LOG_DISK_MEBIBYTES << 20)).catch(
        () => undefined,
      );
    }
    const port = new URL(world.url).port;
    await world.unserve();
    const serve = ['serve', '--data', world.collectorData, '--listen', `127.0.0.1:${port}`];
    const collector = new Unlogged(
      'aliquot',
      serve,
      { ALIQUOT_LOG_LEVEL: 'debug' },
      logs.collector,
    );
    await collector.ready();
    const service = new Unlogged('aliquot-agent', ['run', '--data', agent.data], {}, logs.agent);
    await service.ready();

    let files = 0;
    let commands = 0;
    const must = async (args: readonly string[]): Promise<void> => {
      const { code, stderr } = await run('aliquot-agent', args);
      commands += 1;
      if (code !== 0) wrong.push(`${args[0]} ended with ${code}: ${stderr.trim()}`);
    };
    while (!over()) {
      for (let more = 0; more < 20; more += 1)
        await writeFile(join(source, `run ${files++}.csv`), `result ${files}\n`);
      await must(['status', '--data', agent.data]);
      if (files % 100 === 0) await must(['flush', '--data', agent.data]);
      await world.aliquot(['agents', '--json']);
      commands += 1;
      if (!service.runs || !collector.runs)
        throw new Error(`${service.runs ? 'the collector' : 'the agent'} has ended`);
    }
    await must(['backup', source, '--data', agent.data]);
    const { lines } = await world.aliquot(['ls', '--agent', 'pc', '--json']);
    const kept = lines.filter(({ kind }) => kind === 'file').length;
    if (kept !== files) wrong.push(`${files} files were written, ${kept} are at the collector`);
    if (disk !== undefined) {
      // There is room again: the next line says how many were lost.
      await disk.grow(LOG_DISK_MEBIBYTES * 8);
      await writeFile(join(source, 'after.csv'), 'there is room again\n');
      await must(['backup', source, '--data', agent.data]);
    }
    for (const [name, program, file] of [
      ['agent', service, logs.agent],
      ['collector', collector, logs.collector],
    ] as const) {
      const { code, text } = await program.stop();
      if (code !== 0) wrong.push(`the ${name} ended with ${code}`);
      const said = file === undefined ? text : await readFile(file, 'utf8');
      if (file !== undefined && !/lost/.test(said))
        wrong.push(`the ${name} does not say that lines of its log were lost`);
    }
    return { files, commands, wrong };
  } finally {
    await disk?.unmount();
    await world.close();
  }
}

export const logScenarios: readonly TortureScenario[] = [
  {
    name: 'logs-lost',
    undivided: true,
    about:
      'the logs of agent and collector go to a full disk, or into a pipe whose reader is stalled, while results keep coming: every result is protected, every exit code is right, and what was lost of the log is counted.',
    proves: ['P1', 'P6'],
    async run({ over, log, mine }) {
      const start = Date.now();
      const failed: string[] = [];
      const cases = (['disk full', 'reader stalled'] as const).filter((_, number) => mine(number));
      // Both at once: the time is what fills pipes.
      const outcomes = await Promise.all(
        cases.map((what) =>
          underLoad(what, () => {
            const elapsedMs = Date.now() - start;
            return elapsedMs >= LONGEST_MS || (over() && elapsedMs >= SHORTEST_MS);
          }),
        ),
      );
      for (const [number, { files, commands, wrong }] of outcomes.entries()) {
        log(`${cases[number]}: ${files} files, ${commands} commands`);
        failed.push(...wrong.map((line) => `case ${number}: ${cases[number]}: ${line}`));
      }
      return {
        injected: cases.length,
        passed: cases.length - new Set(failed.map((line) => line.slice(0, 7))).size,
        failed,
        whole: true,
      };
    },
  },
];
