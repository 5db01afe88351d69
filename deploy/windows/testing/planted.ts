import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { type Check, DATA, type LifetimePlace, must, ROOT } from './lifetime.ts';
import { makeSetup } from './packages.ts';
import { until } from './windows.ts';

const MARK = 'C:\\planted-ran.txt';
const MARK_SCRIPT = `require('node:fs').appendFileSync('C:\\\\planted-ran.txt', __filename + '\\n');\n`;
const names = ['bufferutil', 'utf-8-validate', 'classic-level', 'koffi', 'ws', 'zod'];
const MACHINE = 'HKLM\\SYSTEM\\CurrentControlSet\\Control\\Session Manager\\Environment';

/**
 * Where code of a program comes from: what is opened with these endings is run, or decides what is
 * run.
 */
const CODE = /\.(js|cjs|mjs|node|json|dll|exe|cnf|wasm)$/i;

/** What every user of a PC may plant on its disk must not run in a service that is the system. */
export async function planted(place: LifetimePlace, check: Check): Promise<void> {
  const { windows, world, name } = place;
  const put = (path: string, text: string) => {
    mkdirSync(dirname(windows.disk(path)), { recursive: true });
    writeFileSync(windows.disk(path), text);
  };
  for (const module of names) put(`C:\\node_modules\\${module}\\index.js`, MARK_SCRIPT);
  put('C:\\node_modules\\.cache\\aliquot-agent\\x.js', MARK_SCRIPT);
  put('C:\\evil.js', MARK_SCRIPT);
  put(
    'C:\\openssl.cnf',
    'nodejs_conf = evil\n[evil]\nengines = e\n[e]\nx = y\n[y]\ndynamic_path = C:\\\\evil.dll\n',
  );
  put('C:\\probe.js', "for (const name of ['bufferutil', 'koffi']) require(name);\n");

  await check('the trap works: a plain Node runs what is planted', async () => {
    // Set in there: wine.sh lets no variable of this machine's own Node in.
    const node = `Z:${join(windows.folder, 'node.exe').replaceAll('/', '\\')}`;
    await windows.run('cmd', [
      '/c',
      `set NODE_OPTIONS=--require=C:\\evil.js&& ${node} C:\\probe.js`,
    ]);
    const ran = windows.read(MARK);
    must(
      ['evil.js', 'bufferutil', 'koffi'].every((text) => ran.includes(text)),
      ran,
    );
    rmSync(windows.disk(MARK));
  });

  await check(
    'nothing planted runs, and no code is opened outside of the install folder, from setup to receipt',
    async () => {
      for (const [variable, value] of [
        ['NODE_OPTIONS', '--require=C:\\evil.js'],
        ['NODE_PATH', 'C:\\node_modules'],
        ['NODE_EXTRA_CA_CERTS', 'C:\\evil.pem'],
        ['OPENSSL_CONF', 'C:\\openssl.cnf'],
        ['OPENSSL_MODULES', 'C:\\node_modules'],
      ])
        await windows.run('reg', ['add', MACHINE, '/v', variable ?? '', '/d', value ?? '', '/f']);
      await windows.shutDown();
      const trace = join(place.folder, 'trace.txt');
      windows.logOn({ WINEDEBUG: '-all,+file' }, trace);
      cpSync(await world.bundle(`${name}-P`), windows.disk('C:\\planted-pc.bundle'));
      const { log } = await place.setup(
        makeSetup(place.folder, '0.1.0', place.node),
        '/BUNDLE=C:\\planted-pc.bundle',
      );
      must(/connected to http/.test(log), log);
      place.write('C:\\Data', 5, 1000);
      writeFileSync(
        windows.disk(`${DATA}\\agent.yaml`),
        "sources: [{path: 'C:\\Data', quietPeriodSeconds: 1}]\n",
      );
      await place.held(`${name}-P`, 'C:\\Data\\run-4.csv');
      must(
        !existsSync(windows.disk(MARK)),
        `planted code ran: ${existsSync(windows.disk(MARK)) ? windows.read(MARK) : ''}`,
      );

      const opened = readFileSync(trace, 'utf8')
        .split('\n')
        .flatMap((line) => /CreateFileW L"((?:[^"\\]|\\.)*)"/.exec(line)?.[1] ?? [])
        .map((path) => path.replaceAll('\\\\', '\\').replace(/^\\\\\?\\/, ''));
      must(
        opened.some((path) => path.endsWith('\\program\\main.js')),
        `the trace shows no start: ${opened.length} files`,
      );
      const allowed = [ROOT, DATA, 'C:\\windows\\system32'].map(
        (path) => `${path.toLowerCase()}\\`,
      );
      const strange = [...new Set(opened)].filter(
        (path) =>
          CODE.test(path) &&
          /^[a-z]:/i.test(path) &&
          !allowed.some((start) => path.toLowerCase().startsWith(start)),
      );
      must(strange.length === 0, `opened for code: ${strange.join(', ')}`);
      console.log(
        `    ${opened.length} opens traced, of which ${opened.filter((path) => CODE.test(path)).length} are code`,
      );
    },
  );

  await check(
    'a data folder that others may open is refused, with the command that closes it',
    async () => {
      await place.agent('control', 'register', '--start', 'manual');
      await place.agent('control', 'stop');
      // Wine's icacls changes nothing: Wine makes access lists of modes.
      chmodSync(windows.disk(DATA), 0o755);
      const answer = await place.agent('backup', 'C:\\Data', '--data', DATA);
      must(/icacls ".*S-1-1-0.*\[FOLDER_OPEN_TO_OTHERS\]/.test(answer.out), answer.out);
      chmodSync(windows.disk(DATA), 0o700);
    },
  );

  await place.uninstall('/PURGE');
  await until('the data is gone', () => (existsSync(windows.disk(DATA)) ? undefined : true));
}
