import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { buildHost } from '../../../scripts/package/host.ts';
import { file, writeFolder } from '../../../scripts/package/tree.ts';
import { type Check, type LifetimePlace, must } from './lifetime.ts';
import { until } from './windows.ts';

const ROOT = 'C:\\Host';
const DATA = 'C:\\HostData';
/** A second of the host under test: its five minutes are six seconds. */
const SECOND_MS = 20;

/**
 * What stands for the agent: tells of its start, ends as `mode` says, or with its standard input.
 */
const program = (version: string) => `
import { appendFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
const modeFile = 'C:\\\\HostData\\\\mode';
const mode = existsSync(modeFile) ? readFileSync(modeFile, 'utf8').trim() : '';
const tell = (event) => appendFileSync('C:\\\\HostData\\\\told', JSON.stringify({ event, version: '${version}', pid: process.pid, env: process.env, argv: process.argv }) + '\\n');
tell('started');
if (mode === 'die' || mode === 'die-${version}') { console.error('aliquot-agent: it broke [TEST_BROKE]'); process.exit(7); }
if (mode === 'stage' && '${version}' === '1.0.0') { writeFileSync('C:\\\\Host\\\\staged', '1.1.0\\n'); writeFileSync(modeFile, 'confirm'); process.exit(75); }
if (mode === 'confirm' && '${version}' === '1.1.0') {
  const [, , starts] = readFileSync('C:\\\\Host\\\\trial', 'utf8').trim().split(' ');
  writeFileSync('C:\\\\Host\\\\confirmed', '1.1.0 ' + starts + '\\n');
}
process.stdin.resume();
process.stdin.on('end', () => { tell('stdin ended'); if (mode !== 'hang') process.exit(0); });
setInterval(() => undefined, 1000);
`;

interface Told {
  readonly event: string;
  readonly version: string;
  readonly pid: number;
  readonly env: Record<string, string>;
  readonly argv: readonly string[];
}

/**
 * The host by itself, with a program in the agent's place and time that passes fifty times as fast.
 */
export async function host({ windows, folder }: LifetimePlace, check: Check): Promise<void> {
  const install = join(folder, 'host');
  const part = (version: string) => [
    file(`versions/${version}/node.exe`, readFileSync(join(windows.folder, 'node.exe')), true),
    file(`versions/${version}/program/main.js`, program(version)),
    file(`versions/${version}/program/package.json`, '{"type":"module"}\n'),
    file(`versions/${version}/program/openssl.cnf`, ''),
    file(`versions/${version}/program/node-flags`, '* --optimize-for-size\n'),
  ];
  writeFolder(windows.disk(ROOT), [
    file('host.exe', buildHost('1.0.0', SECOND_MS), true),
    file('current', '1.0.0\n'),
    ...part('1.0.0'),
    ...part('1.1.0'),
  ]);
  mkdirSync(windows.disk(DATA));
  mkdirSync(install, { recursive: true });

  const control = (...args: readonly string[]) =>
    windows.run(`${ROOT}\\host.exe`, ['control', ...args], { NODE_OPTIONS: '--title=theirs' });
  const mode = (text: string) => writeFileSync(windows.disk(`${DATA}\\mode`), text);
  const told = (): Told[] =>
    existsSync(windows.disk(`${DATA}\\told`))
      ? windows
          .read(`${DATA}\\told`)
          .split('\n')
          .filter((line) => line.endsWith('}'))
          .map((line) => JSON.parse(line) as Told)
      : [];
  const starts = () => told().filter(({ event }) => event === 'started');
  const again = async (what: string) => {
    await control('stop');
    rmSync(windows.disk(`${DATA}\\told`), { force: true });
    mode(what);
    await control('start');
  };

  await check('the host gives the agent an environment of its own, and its log', async () => {
    await control('register', '--data', DATA, '--start', 'manual');
    await again('');
    const [first] = await until('it starts', () => (starts().length > 0 ? starts() : undefined));
    if (first === undefined) throw new Error('nothing started');
    const names = Object.keys(first.env).filter((name) => /^(NODE_|OPENSSL_|SSL_)/i.test(name));
    must(names.length === 0, `it got ${names.join(', ')}`);
    must(
      first.env['ALIQUOT_HOST'] === '1' && first.env['ALIQUOT_ROOT'] === ROOT,
      JSON.stringify(first.env),
    );
    must(
      first.env['ProgramData'] === 'C:\\ProgramData',
      `ProgramData is ${first.env['ProgramData']}`,
    );
    must(
      first.argv.slice(2).join(' ') === `run --data ${DATA} --log-file ${DATA}\\log\\agent.log`,
      first.argv.join(' '),
    );
  });

  await check('stop closes its standard input and waits for its end', async () => {
    await control('stop');
    must(told().at(-1)?.event === 'stdin ended', JSON.stringify(told().at(-1)?.event));
    must((await control('state')).out.startsWith('stopped'), 'it is not stopped');
  });

  await check('one that does not end is ended after its time', async () => {
    await again('hang');
    await until('it starts', () => starts()[0]);
    await control('stop');
    must((await control('state')).out.startsWith('stopped'), 'it is not stopped');
    must(windows.processes('HostData').length === 0, 'it still runs');
  });

  await check(
    'one that dies is started again, and again, and its last words are kept',
    async () => {
      await again('die');
      await until('it has started four times', () => (starts().length >= 4 ? true : undefined));
      must(
        windows.read(`${DATA}\\log\\last-output.txt`).includes('[TEST_BROKE]'),
        'its last words are lost',
      );
    },
  );

  await check('an update that confirms itself stays', async () => {
    await again('stage');
    await until('current names it', () =>
      windows.read(`${ROOT}\\current`) === '1.1.0\n' ? true : undefined,
    );
    must(!existsSync(windows.disk(`${ROOT}\\trial`)), 'the trial goes on');
  });

  await check(
    'an update that dies gives way to the version before, and is remembered as bad',
    async () => {
      await control('stop');
      writeFileSync(windows.disk(`${ROOT}\\current`), '1.0.0\n');
      writeFileSync(windows.disk(`${ROOT}\\trial`), '1.1.0 1.0.0 0\n');
      await again('die-1.1.0');
      await until('it is bad', () =>
        existsSync(windows.disk(`${ROOT}\\bad`)) &&
        windows.read(`${ROOT}\\bad`).startsWith('1.1.0 died')
          ? true
          : undefined,
      );
      await until('the old one runs', () =>
        starts().at(-1)?.version === '1.0.0' ? true : undefined,
      );
      must(windows.read(`${ROOT}\\current`) === '1.0.0\n', 'current names the bad one');
    },
  );

  await control('unregister');
  rmSync(windows.disk(ROOT), { recursive: true });
  rmSync(windows.disk(DATA), { recursive: true });
}
