import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import type { JsonLine } from '../../../demo/programs.ts';
import type { World } from '../../../test/world.ts';
import { makeSetup, withProgram } from './packages.ts';
import { type Ended, until, type Windows } from './windows.ts';

export const ROOT = 'C:\\Program Files\\Aliquot\\agent';
export const DATA = 'C:\\ProgramData\\Aliquot\\agent';
const HOST = `${ROOT}\\host.exe`;
const RUNS = 'main.js run --data';

/** One check: a sentence that holds, or throws. */
export type Check = (sentence: string, hold: () => Promise<void>) => Promise<void>;

export function must(holds: boolean, otherwise: string): void {
  if (!holds) throw new Error(otherwise);
}

/** What both lifetime and misuse need: a Windows, a collector, and setups. Test only. */
export class LifetimePlace {
  readonly windows: Windows;
  readonly world: World;
  readonly folder: string;
  readonly node: string | undefined;
  /** The PC's name, which a bundle in a folder of many goes by. */
  readonly name = hostname().split('.')[0]?.toUpperCase().slice(0, 15) ?? 'PC';

  constructor(windows: Windows, world: World, folder: string, node: string | undefined) {
    this.windows = windows;
    this.world = world;
    this.folder = folder;
    this.node = node;
  }

  /**
   * Runs a setup, and gives what it added to its log; `code` is what the log says that it ended
   * with, or, where it may not write one, what Wine says.
   */
  async setup(
    file: string,
    ...switches: readonly string[]
  ): Promise<{ readonly said: string; readonly log: string; readonly code: number }> {
    const before = this.log().length;
    const { out, code: exit } = await this.windows.run(file, ['/S', ...switches]);
    const log = this.log().slice(before);
    const ended = /ended with (\d)/.exec(log)?.[1];
    const code =
      ended !== undefined
        ? Number(ended)
        : /not enrolled: /.test(log)
          ? 3
          : / done\r?\n/.test(log)
            ? 0
            : log === ''
              ? exit
              : -1;
    return { said: out.trim(), log, code };
  }

  log(): string {
    return existsSync(this.windows.disk(`${ROOT}\\setup.log`))
      ? this.windows.read(`${ROOT}\\setup.log`)
      : '';
  }

  /** A command of the installed agent. */
  agent(...args: readonly string[]): Promise<Ended> {
    return this.windows.run(HOST, args);
  }

  /** Uninstalls, and waits until the uninstaller, which goes on in a copy of itself, is done. */
  async uninstall(...switches: readonly string[]): Promise<void> {
    await this.windows.run(`${ROOT}\\uninstall.exe`, ['/S', ...switches]);
    await until('the install folder is gone', () =>
      existsSync(this.windows.disk(ROOT)) ? undefined : true,
    );
  }

  /** How the collector sees the PC. */
  async atCollector(name: string): Promise<JsonLine | undefined> {
    const { lines } = await this.world.aliquot(['agents', '--json']);
    return lines.find((line) => line['agent'] === name);
  }

  async files(name: string): Promise<readonly string[]> {
    const { lines } = await this.world.aliquot([
      'ls',
      '--agent',
      name,
      '--json',
      '--kit',
      this.world.kit,
    ]);
    return lines.map((line) => String(line['path'])).filter((path) => path !== 'undefined');
  }

  /** Waits until the collector holds a file, whose receipt it has then given. */
  held(name: string, path: string): Promise<true> {
    return until(`the collector holds ${path}`, async () =>
      (await this.files(name)).includes(path) ? true : undefined,
    );
  }

  /** Writes files of an instrument: no two alike. */
  write(folder: string, count: number, bytes: number): void {
    mkdirSync(this.windows.disk(folder), { recursive: true });
    for (let at = 0; at < count; at += 1)
      writeFileSync(
        join(this.windows.disk(folder), `run-${at}.csv`),
        `${folder} ${at}\n`.repeat(1 + bytes / (folder.length + 8)),
      );
  }
}

/** Everything on the disk but what Windows itself and the data folder keep. */
function onDisk(windows: Windows): string[] {
  const walk = (path: string): string[] =>
    readdirSync(path, { withFileTypes: true }).flatMap((entry) => {
      const whole = join(path, entry.name);
      return entry.isDirectory() ? [whole, ...walk(whole)] : [whole];
    });
  const except =
    /\/(windows|users)(\/|$)|\/ProgramData\/Aliquot(\/|$)|\/Data(\/|$)|\/bundles(\/|$)|\/planted-|\/Microsoft\//;
  return walk(windows.disk('C:\\')).filter(
    (path) => !except.test(path.slice(windows.folder.length)),
  );
}

/** From setup to uninstall, as item 12 of the issue on packages tells it. */
export async function lifetime(place: LifetimePlace, check: Check): Promise<void> {
  const { windows, world, name } = place;
  const first = makeSetup(place.folder, '0.1.0', place.node);
  const second = makeSetup(place.folder, '0.1.1', place.node);
  const broken = makeSetup(place.folder, '0.1.2', place.node, withProgram('process.exit(9);\n'));
  const before = onDisk(windows);

  await check('one line installs, enrols, and connects, and erases the bundle', async () => {
    mkdirSync(windows.disk('C:\\bundles'), { recursive: true });
    cpSync(await world.bundle(name), windows.disk(`C:\\bundles\\${name}.bundle`));
    const began = Date.now();
    const { code, log } = await place.setup(first, '/BUNDLE=C:\\bundles');
    must(code === 0 && /connected to http/.test(log), log);
    must(!existsSync(windows.disk(`C:\\bundles\\${name}.bundle`)), 'the bundle is still there');
    place.write('C:\\Data', 20, 10_000);
    writeFileSync(
      windows.disk(`${DATA}\\agent.yaml`),
      "sources: [{path: 'C:\\Data', quietPeriodSeconds: 1}]\nscanIntervalSeconds: 10\n",
    );
    await place.held(name, 'C:\\Data\\run-19.csv');
    console.log(
      `    receipt ${((Date.now() - began) / 1000).toFixed(0)} s after setup was started`,
    );
  });

  await check(
    'the service is registered with quoted paths, and status says that all is safe',
    async () => {
      const { out } = await windows.run('reg', [
        'query',
        'HKLM\\SYSTEM\\CurrentControlSet\\Services\\AliquotAgent',
        '/v',
        'ImagePath',
      ]);
      must(out.includes(`"${HOST}" as-service --data "${DATA}"`), out);
      const safe = await until('status says so', async () =>
        (await place.agent('status')).out.includes('results are safe') ? true : undefined,
      );
      must(safe, '');
    },
  );

  await check('an upgrade over a running backup keeps queue and history', async () => {
    await world.unserve('SIGKILL');
    place.write('C:\\Data\\more', 400, 60_000);
    await until('it captures', async () =>
      /Waiting to be sent/.test((await place.agent('status')).out) ? true : undefined,
    );
    const { code, log } = await place.setup(second, '/BUNDLE=C:\\bundles');
    must(code === 0 && log.includes('stopping version 0.1.0'), log);
    must(
      windows.read(`${ROOT}\\current`) === '0.1.1\n',
      `current names ${windows.read(`${ROOT}\\current`)}`,
    );
    await world.serve();
    await until(
      'all 400 are held',
      async () => ((await place.files(name)).length >= 420 ? true : undefined),
      240_000,
    );
    const { lines } = await world.aliquot([
      'versions',
      '--agent',
      name,
      '--path',
      'C:\\Data\\run-0.csv',
      '--json',
      '--kit',
      world.kit,
    ]);
    must(lines.length >= 1, 'the history of run-0.csv is gone');
    const { out } = await place.agent('fsck', '--data', DATA, '--json');
    must(/"event":"summary".*"ok":true/.test(out), out);
    const back = await world.place('back');
    await world.aliquot(['restore', '--kit', world.kit, '--agent', name, '--to', back]);
    const restored = readdirSync(join(back, 'C/Data/more'));
    must(restored.length === 400, `${restored.length} of 400 files came back`);
    for (const file of restored) {
      const [a, b] = [join(back, 'C/Data/more', file), join(windows.disk('C:\\Data\\more'), file)];
      must(readFileSync(a).equals(readFileSync(b)), `${file} came back otherwise`);
    }
  });

  await check(
    'a version that does not run makes room for the one before, which runs again',
    async () => {
      const { code, log } = await place.setup(broken);
      must(code === 1 && log.includes('back to version 0.1.1'), log);
      must(windows.read(`${ROOT}\\current`) === '0.1.1\n', 'current names the broken one');
      must(
        !existsSync(windows.disk(`${ROOT}\\versions\\0.1.2`)),
        'the broken version is still there',
      );
      place.write('C:\\Data\\after', 1, 1000);
      await place.held(name, 'C:\\Data\\after\\run-0.csv');
    },
  );

  await check(
    'the same setup once more, and an older one, leave the running agent alone',
    async () => {
      const before = windows.processes(RUNS);
      const again = await place.setup(second, '/BUNDLE=C:\\bundles');
      must(again.code === 0 && again.log.includes('is installed already'), again.log);
      const older = await place.setup(first);
      must(older.code === 0 && older.log.includes('which is newer, and stays'), older.log);
      must(windows.processes(RUNS).join() === before.join(), 'the agent was started again');
    },
  );

  await check('a killed agent comes back by itself', async () => {
    const [child] = windows.processes(RUNS);
    if (child === undefined) throw new Error('no agent runs');
    process.kill(child, 'SIGKILL');
    await until('another one runs', () => windows.processes(RUNS).find((pid) => pid !== child));
    place.write('C:\\Data\\killed', 1, 1000);
    await place.held(name, 'C:\\Data\\killed\\run-0.csv');
  });

  await check('a killed host takes its agent with it', async () => {
    const [host] = windows.processes('as-service');
    if (host === undefined) throw new Error('no host runs');
    process.kill(host, 'SIGKILL');
    await until('the agent is gone', () =>
      windows.processes(RUNS).length === 0 ? true : undefined,
    );
    await until('it starts again', async () =>
      (await place.agent('control', 'start')).code === 0 ? true : undefined,
    );
    await until('an agent runs', () => windows.processes(RUNS)[0]);
  });

  await check('stop ends the agent cleanly', async () => {
    // A stopped automatic service comes back with Wine's next program; a manual one stays where it
    // is.
    await place.agent('control', 'register', '--start', 'manual');
    await until('the agent answers', async () =>
      (await place.agent('status')).out.includes('Agent ') ? true : undefined,
    );
    await place.agent('service', 'stop');
    must(windows.processes(RUNS).length === 0, 'it still runs');
    const log = windows.read(`${DATA}\\log\\agent.log`).trim().split('\n');
    const last = log.slice(log.findLastIndex((line) => line.includes('"msg":"stopping"')));
    // Behind it stands at most that the session with the collector ended, too.
    must(
      last[0]?.includes('"msg":"stopping"') === true &&
        last.length <= 2 &&
        last.every((line) => line.includes('"level":"info"')),
      last.join('\n'),
    );
  });

  await check('uninstall leaves nothing but data', async () => {
    await place.uninstall();
    const left = onDisk(windows).filter((path) => !before.includes(path));
    must(left.length === 0, `left: ${left.join(', ')}`);
    const { out } = await windows.run('reg', [
      'query',
      'HKLM\\SYSTEM\\CurrentControlSet\\Services',
      '/f',
      'Aliquot',
    ]);
    must(!out.includes('AliquotAgent'), out);
    must(existsSync(windows.disk(`${DATA}\\identity\\identity.json`)), 'the data is gone');
  });

  await check(
    'installed again over its data it goes on as the same agent, and /PURGE removes that too',
    async () => {
      const { code, log } = await place.setup(first);
      must(code === 0 && log.includes('enrolled already'), log);
      place.write('C:\\Data\\again', 1, 1000);
      await place.held(name, 'C:\\Data\\again\\run-0.csv');
      await place.uninstall('/PURGE');
      await until('the data is gone', () =>
        existsSync(windows.disk('C:\\ProgramData\\Aliquot')) ? undefined : true,
      );
    },
  );
  rmSync(windows.disk('C:\\Data'), { recursive: true });
}
