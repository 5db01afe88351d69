import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { whyNoStrace } from '../torture/outside/strace.ts';
import { installAt } from './install.ts';
import { type AgentPlace, World } from './world.ts';

/**
 * No code from outside the install folder: anyone who may write in a folder above it, or set a
 * variable of the machine, must not get code into a program that runs with more rights (on Windows
 * every user may make `C:\node_modules`).
 */

let world: World;
let agent: AgentPlace;
let above: string;
beforeEach(async () => {
  world = await World.open();
  agent = await world.agent('pc');
  above = await mkdtemp(join(world.folder, 'above-'));
});
afterEach(() => world.close());

/**
 * Plants what runs, or is believed, when Node looks for it in the folders above; gives the
 * variables that lead to more of it.
 */
async function plant(): Promise<{ readonly environment: NodeJS.ProcessEnv; readonly ran: string }> {
  const ran = join(above, 'ran');
  const code = `require('node:fs').appendFileSync(${JSON.stringify(ran)}, __filename + '\\n');`;
  for (const name of ['bufferutil', 'utf-8-validate', 'classic-level', 'koffi', 'supports-color']) {
    const folder = join(above, 'node_modules', name);
    await mkdir(folder, { recursive: true });
    await writeFile(
      join(folder, 'package.json'),
      JSON.stringify({ name, version: '9.0.0', main: 'index.js' }),
    );
    for (const file of ['index.js', 'binding.js']) await writeFile(join(folder, file), code);
  }
  await mkdir(join(above, 'node_modules/.cache/aliquot-agent'), { recursive: true });
  await mkdir(join(above, '.cache'));
  await writeFile(join(above, 'package.json'), '{"type":"commonjs"}');
  await writeFile(
    join(above, 'openssl.cnf'),
    'nodejs_conf = nodejs_init\n[nodejs_init]\nproviders = planted\n[planted]\nplanted = missing\n',
  );
  await writeFile(join(above, 'planted.cjs'), code);
  const environment = {
    NODE_OPTIONS: `--require=${join(above, 'planted.cjs')}`,
    NODE_PATH: join(above, 'node_modules'),
    NODE_COMPILE_CACHE: join(above, '.cache'),
    NODE_V8_COVERAGE: join(above, '.cache'),
    OPENSSL_CONF: join(above, 'openssl.cnf'),
    OPENSSL_MODULES: above,
    CLASSIC_LEVEL_PREBUILD: join(above, 'node_modules/classic-level'),
  };
  return { environment, ran };
}

/**
 * Every path in a trace that is looked for as code or as a library's settings, whether it is there
 * or not.
 */
function codePaths(trace: string): string[] {
  const paths = [...trace.matchAll(/"(\/[^"]*)"/g)].map(([, path = '']) => path);
  return paths.filter((path) =>
    /\.([cm]?js|json|node|wasm|cnf|so(\.[0-9]+)*)$|\/node_modules\/|\/\.cache\b/.test(path),
  );
}

describe('code from outside the install folder', () => {
  it('is neither run nor looked for, whatever is planted above it or named by the machine’s variables', async ({
    skip,
  }) => {
    const unable = await whyNoStrace();
    if (unable !== undefined) skip(unable);
    const install = join(above, 'app');
    const launchers = await installAt(install, {
      version: process.versions.node,
      binary: process.execPath,
    });
    const { environment, ran } = await plant();
    const file = await world.write('data/result.csv', '1,2,3');
    const trace = join(world.folder, 'trace');
    const traced = async (program: string, args: readonly string[]): Promise<string> => {
      const calls =
        'trace=execve,open,openat,access,faccessat,faccessat2,stat,lstat,newfstatat,statx,readlink,readlinkat';
      await promisify(execFile)('strace', ['-f', '-o', trace, '-e', calls, program, ...args], {
        env: { ...process.env, ...world.environment(), ...environment, PATH: '/usr/bin:/bin' },
        cwd: above,
      });
      return readFile(trace, 'utf8');
    };
    const token = ['--token-file', join(world.collectorData, 'admin.token')];
    const runs: [string, string[]][] = [
      [launchers['aliquot-agent'], ['backup', join(file, '..'), '--data', agent.data]],
      [launchers['aliquot-agent'], ['fsck', '--data', agent.data]],
      [launchers.aliquot, ['agents', ...token]],
    ];
    for (const [program, args] of runs) {
      const looked = codePaths(await traced(program, args));
      expect(looked.some((path) => path.startsWith(install))).toBe(true);
      const own = [
        install,
        world.collectorData,
        agent.data,
        join(world.folder, 'operator'),
        '/lib',
        '/usr/lib',
      ];
      expect(
        looked.filter(
          (path) =>
            !own.some((folder) => path.startsWith(`${folder}/`) || path.startsWith(`${folder}64/`)),
        ),
      ).toEqual([]);
    }
    expect(existsSync(ran)).toBe(false);
    await rm(install, { recursive: true });
  });

  it('would have been run: the same things run in a Node that is started as it comes', async () => {
    const { environment, ran } = await plant();
    await writeFile(join(above, 'any.cjs'), "require('bufferutil');");
    const { OPENSSL_CONF: _, ...others } = environment;
    await promisify(execFile)(process.execPath, [join(above, 'any.cjs')], {
      env: { ...process.env, ...others },
    });
    expect((await readFile(ran, 'utf8')).split('\n')).toEqual([
      join(above, 'planted.cjs'),
      expect.stringContaining('bufferutil'),
      '',
    ]);
  });
});
