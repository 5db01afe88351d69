import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { compile, compilerNote, hasCompiler } from './testing/compile.ts';

const scaled = [
  'SWITCH_TRIAL_MS=1500L',
  'SWITCH_WAITS_MS={50L,50L,50L}',
  'HOST_STOP_MS=700L',
  'HOST_LOOK_MS=50L',
];

/**
 * Stays until it is told to end, and takes what this shell's own input says as the end, as the
 * agent does.
 */
const SERVE =
  'trap "echo term >> $ALIQUOT_ROOT/log; exit 0" TERM; while read -r line || exit 0; do :; done';
const CONFIRM =
  'read -r to from starts < $ALIQUOT_ROOT/trial; echo "$to $starts" > $ALIQUOT_ROOT/confirmed';
const stage = (version: string) =>
  `[ -e $ALIQUOT_ROOT/asked ] || { touch $ALIQUOT_ROOT/asked; echo ${version} > $ALIQUOT_ROOT/staged; exit 75; }`;

describe.skipIf(!hasCompiler)(`the service host of a folder install${compilerNote}`, () => {
  let built: ReturnType<typeof compile>;
  const running = new Set<ChildProcess>();
  beforeAll(() => {
    built = compile(['switch.c', 'files.c', 'posix.c'], scaled);
  });
  afterEach(() => {
    for (const host of running) host.kill('SIGKILL');
    running.clear();
  });
  afterAll(() => rmSync(built.folder, { recursive: true, force: true }));

  /**
   * An install folder with these versions, each a script; every start is written to `log` first.
   */
  function install(versions: Readonly<Record<string, string>>): string {
    const root = mkdtempSync(join(built.folder, 'root-'));
    copyFileSync(built.program, join(root, 'host'));
    for (const [version, script] of Object.entries(versions)) {
      mkdirSync(join(root, 'versions', version), { recursive: true });
      if (script === '') continue;
      const text = `#!/bin/sh\necho "${version} $ALIQUOT_HOST $*" >> "$ALIQUOT_ROOT/log"\n${script}\n`;
      writeFileSync(join(root, 'versions', version, 'launcher'), text, { mode: 0o755 });
    }
    writeFileSync(join(root, 'current'), '1.0.0\n');
    writeFileSync(join(root, 'log'), '');
    return root;
  }

  function start(root: string) {
    const host = spawn(join(root, 'host'), ['run', '--data', 'a b'], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    running.add(host);
    let said = '';
    host.stderr.on('data', (bytes: Buffer) => {
      said += bytes.toString();
    });
    const ended = once(host, 'exit').then(([code]) => code as number | null);
    return { host, ended, said: () => said };
  }

  const lines = (root: string) =>
    readFileSync(join(root, 'log'), 'utf8').split('\n').filter(Boolean);
  async function until(condition: () => boolean) {
    while (!condition()) await setTimeout(20);
  }
  const started = (root: string, version: string) =>
    lines(root).filter((line) => line.startsWith(`${version} `)).length;
  const text = (root: string, name: string) =>
    existsSync(join(root, name)) ? readFileSync(join(root, name), 'utf8') : undefined;

  it('starts what `current` names with its own arguments, ends it on SIGTERM, and ends with 0', async () => {
    const root = install({ '1.0.0': SERVE });
    const { host, ended } = start(root);
    await until(() => lines(root).length === 1);
    expect(lines(root)).toEqual(['1.0.0 1 run --data a b']);
    host.kill('SIGTERM');
    expect(await ended).toBe(0);
  });

  it('starts a child that died again', async () => {
    const root = install({ '1.0.0': 'exit 3' });
    const { host, ended, said } = start(root);
    await until(() => lines(root).length > 4);
    host.kill('SIGTERM');
    expect(await ended).toBe(0);
    expect(said()).toContain('the program ended (code 3); it is started again in 0 s');
  });

  it('keeps a version that confirms and lives', async () => {
    const root = install({
      '1.0.0': `${stage('2.0.0')}; ${SERVE}`,
      '2.0.0': `${CONFIRM}; ${SERVE}`,
    });
    const { host, ended } = start(root);
    await until(() => text(root, 'current') === '2.0.0\n' && text(root, 'trial') === undefined);
    expect(started(root, '2.0.0')).toBe(1);
    host.kill('SIGTERM');
    expect(await ended).toBe(0);
  });

  const bad: Readonly<Record<string, { readonly script: string; readonly reason: string }>> = {
    'has no launcher': { script: '', reason: 'died' },
    'ends at once': { script: 'exit 1', reason: 'died' },
    'confirms, and dies a little later each time': {
      script: `${CONFIRM}; sleep 0.3; exit 1`,
      reason: 'died',
    },
    'never has a session': { script: SERVE, reason: 'no-session' },
    'hangs, and does not end when it is asked to': {
      script: 'trap "" TERM; while :; do sleep 0.1; done',
      reason: 'no-session',
    },
    'asks for itself again': {
      script: 'echo 2.0.0 > $ALIQUOT_ROOT/staged; exit 75',
      reason: 'died',
    },
  };
  for (const [name, { script, reason }] of Object.entries(bad)) {
    it(`comes back from a version that ${name}`, async () => {
      const root = install({ '1.0.0': `${stage('2.0.0')}; ${SERVE}`, '2.0.0': script });
      const { host, ended } = start(root);
      await until(() => text(root, 'bad') !== undefined && started(root, '1.0.0') === 2);
      expect(text(root, 'bad')).toBe(`2.0.0 ${reason}\n`);
      expect(text(root, 'current')).toBe('1.0.0\n');
      host.kill('SIGTERM');
      expect(await ended).toBe(0);
      // Restarted, it does not try it again.
      const again = start(root);
      await until(() => started(root, '1.0.0') === 3);
      again.host.kill('SIGTERM');
      expect(await again.ended).toBe(0);
      expect(started(root, '2.0.0')).toBeLessThanOrEqual(3);
    });
  }

  it.each([
    ['one that serves', SERVE],
    ['one that hangs', 'trap "" TERM; while :; do sleep 0.1; done'],
  ])('leaves no child behind when it is killed: %s', async (_name, script) => {
    const root = install({ '1.0.0': `echo $$ > $ALIQUOT_ROOT/pid; ${script}` });
    const { host, ended } = start(root);
    await until(() => (text(root, 'pid') ?? '') !== '');
    host.kill('SIGKILL');
    await ended;
    const pid = Number(text(root, 'pid'));
    const lives = () => {
      try {
        return process.kill(pid, 0);
      } catch {
        return false;
      }
    };
    await until(() => !lives());
  });

  it('serves a folder alone: a second one ends with 1 and starts nothing', async () => {
    const root = install({ '1.0.0': SERVE });
    const { host, ended } = start(root);
    await until(() => lines(root).length === 1);
    const second = start(root);
    expect(await second.ended).toBe(1);
    expect(second.said()).toContain('another host serves this folder');
    expect(lines(root)).toHaveLength(1);
    host.kill('SIGTERM');
    expect(await ended).toBe(0);
  });

  it.skipIf(process.platform !== 'linux')(
    'is not kept from starting by a user who can only read its folder',
    async () => {
      const root = install({ '1.0.0': SERVE });
      const other = spawn('flock', [root, 'sh', '-c', 'echo locked; read -r line'], {
        stdio: ['pipe', 'pipe', 'ignore'],
      });
      running.add(other);
      await once(other.stdout, 'data');
      const { host, ended } = start(root);
      await until(() => lines(root).length === 1 || host.exitCode !== null);
      expect(lines(root)).toEqual(['1.0.0 1 run --data a b']);
      expect(statSync(join(root, 'lock')).mode & 0o777).toBe(0o600);
      host.kill('SIGTERM');
      expect(await ended).toBe(0);
      other.stdin.end('\n');
    },
  );

  it('hands SIGHUP on', async () => {
    const root = install({
      '1.0.0': 'trap "echo hup >> $ALIQUOT_ROOT/log" HUP; while :; do sleep 0.05; done',
    });
    const { host } = start(root);
    await until(() => lines(root).length === 1);
    // The shell's trap may not be set yet: whoever was hung up is started again, and asked again.
    while (!lines(root).includes('hup')) {
      host.kill('SIGHUP');
      await setTimeout(100);
    }
  });

  it('asks for arguments', async () => {
    const host = spawn(join(install({}), 'host'), [], { stdio: 'ignore' });
    const [code] = await once(host, 'exit');
    expect(code).toBe(2);
  });
});
