import { spawnSync } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { FilePort } from '@aliquot/shared/durable/file-port';
import { nodeFiles } from '@aliquot/shared/durable/file-port';
import { afterAll, describe, expect, it } from 'vitest';
import { installRoot } from './install-root.ts';
import { launchdService } from './launchd-service.ts';
import type { Ran, RunTool } from './service-manager.ts';
import { systemdService } from './systemd-service.ts';
import { windowsService } from './windows-service.ts';

/** A tool that answers what a test says, and keeps what it was asked. */
function tool(answers: (args: readonly string[]) => Partial<Ran> | undefined): {
  readonly run: RunTool;
  readonly asked: string[];
} {
  const asked: string[] = [];
  return {
    asked,
    run: async (name, args) => {
      asked.push([name, ...args].join(' '));
      const answer = answers(args);
      return answer === undefined
        ? { code: undefined, out: '', err: '' }
        : { code: 0, out: '', err: '', ...answer };
    },
  };
}

const code = (promise: Promise<unknown>) =>
  promise.then(
    () => undefined,
    (error: { code?: string }) => error.code,
  );
const HOST = 'C:\\Program Files\\Aliquot\\agent\\host.exe';

/** Files below a folder of the test's own, whatever absolute path is asked for. */
const folder = mkdtempSync(join(tmpdir(), 'aliquot-services-'));
afterAll(() => rm(folder, { recursive: true }));
const moved: FilePort = new Proxy(nodeFiles, {
  get: (files, name) => {
    const value = Reflect.get(files, name);
    if (typeof value !== 'function') return value;
    return (...args: unknown[]) =>
      Reflect.apply(
        value,
        files,
        args.map((arg) =>
          typeof arg === 'string' && arg.startsWith('/') ? join(folder, arg) : arg,
        ),
      );
  },
});

describe('the service on Windows', () => {
  it('closes the install folder to others, and is registered by its host, with the data folder it was given', async () => {
    const { run, asked } = tool(() => ({}));
    await windowsService('C:\\Program Files\\Aliquot\\agent', 'icacls.exe', run).install({
      data: 'D:\\Lab data',
      account: 'LAB\\backup$',
    });
    expect(asked[0]).toContain(
      'icacls.exe C:\\Program Files\\Aliquot\\agent /inheritance:r /grant:r *S-1-5-18:(OI)(CI)F',
    );
    expect(asked.slice(1)).toEqual([
      `${HOST} control register --data D:\\Lab data --account LAB\\backup$`,
    ]);
  });

  it('is described by its state and the data folder of its command line', async () => {
    const line = `"${HOST}" as-service --data "D:\\Lab data"`;
    const state = (out: string) =>
      windowsService(
        'C:\\Program Files\\Aliquot\\agent',
        'icacls.exe',
        tool(() => ({ out })).run,
      ).state();
    expect(await state(`running ${line}\n`)).toEqual({ state: 'running', data: 'D:\\Lab data' });
    expect(await state(`changing ${line}\n`)).toEqual({ state: 'changing', data: 'D:\\Lab data' });
    expect(await state('absent\n')).toEqual({ state: 'absent' });
  });

  it('says who may when this user may not, and the host’s own words else', async () => {
    const start = (err: string) =>
      windowsService('C:\\A', 'icacls.exe', tool(() => ({ code: 1, err })).run).start();
    await expect(
      start(
        'aliquot-agent: cannot start the service AliquotAgent: Access is denied [HOST_SERVICE]',
      ),
    ).rejects.toMatchObject({
      code: 'MACHINE_DENIED',
      message: expect.stringContaining('Run as administrator'),
    });
    await expect(
      start('aliquot-agent: cannot start the service AliquotAgent: no disk [HOST_SERVICE]'),
    ).rejects.toMatchObject({
      code: 'MACHINE_REFUSED',
      message: 'cannot start the service AliquotAgent: no disk',
    });
  });

  it('needs the host', async () => {
    expect(
      await code(windowsService('C:\\A', 'icacls.exe', tool(() => undefined).run).start()),
    ).toBe('MACHINE_NO_MANAGER');
  });
});

describe('the service under systemd', () => {
  const shows = (text: string) => (args: readonly string[]) =>
    args[0] === 'show' ? { out: text } : {};
  const absent = 'LoadState=not-found\nActiveState=inactive\nFragmentPath=\n';
  const packaged =
    'LoadState=loaded\nActiveState=active\nFragmentPath=/usr/lib/systemd/system/aliquot-agent.service\n';
  const own = packaged.replace('/usr/lib', '/etc');
  const read = async () =>
    (
      await nodeFiles.open(join(folder, 'etc/systemd/system/aliquot-agent.service'), 'read')
    ).close();

  it('of a folder install gets a unit of its own, which goes again when it is removed', async () => {
    await nodeFiles.mkdir(join(folder, 'etc'));
    await nodeFiles.mkdir(join(folder, 'etc/systemd'));
    await nodeFiles.mkdir(join(folder, 'etc/systemd/system'));
    const { run, asked } = tool(shows(absent));
    await systemdService('/opt/aliquot', moved, run).install({ data: '/srv/50%' });
    await read();
    expect(asked.slice(1)).toEqual([
      'systemctl daemon-reload',
      'systemctl enable aliquot-agent.service',
    ]);
    await systemdService('/opt/aliquot', moved, tool(shows(own)).run).uninstall();
    await expect(read()).rejects.toMatchObject({ code: 'ENOENT' });
  });

  it('of a package is enabled and disabled, and its unit is left to the package', async () => {
    const { run, asked } = tool(shows(packaged));
    const manager = systemdService(undefined, moved, run);
    await manager.install({ data: '/var/lib/aliquot-agent' });
    await manager.uninstall();
    expect(asked.filter((line) => !line.includes('show'))).toEqual([
      'systemctl enable aliquot-agent.service',
      'systemctl disable --now aliquot-agent.service',
    ]);
  });

  it('is not begun where nobody would run it', async () => {
    expect(await code(systemdService('/opt/a', moved, tool(() => undefined).run).start())).toBe(
      'MACHINE_NO_MANAGER',
    );
    const noBus = tool(() => ({ code: 1, err: 'Failed to connect to bus: Host is down' })).run;
    expect(await code(systemdService('/opt/a', moved, noBus).start())).toBe('MACHINE_NO_MANAGER');
    expect(
      await code(
        systemdService(undefined, moved, tool(shows(absent)).run).install({ data: '/srv' }),
      ),
    ).toBe('MACHINE_NO_MANAGER');
    expect(await code(systemdService('/opt/a', moved, tool(shows(absent)).run).start())).toBe(
      'MACHINE_NO_SERVICE',
    );
  });

  it('asks for root where the system does', async () => {
    const denies = tool((args) =>
      args[0] === 'show'
        ? { out: own }
        : { code: 1, err: 'Interactive authentication is required.' },
    ).run;
    await expect(systemdService('/opt/a', moved, denies).start()).rejects.toMatchObject({
      code: 'MACHINE_DENIED',
      message: expect.stringContaining('sudo'),
    });
  });
});

describe('the service under launchd', () => {
  it('is a property list that comes and goes, and is started when it is not loaded', async () => {
    await mkdir(join(folder, 'Library/LaunchDaemons'), { recursive: true });
    const { run, asked } = tool((args) => (args[0] === 'print' ? { code: 113 } : {}));
    const manager = launchdService('/opt/aliquot', moved, run);
    expect(await manager.state()).toEqual({ state: 'absent' });
    expect(await code(manager.start())).toBe('MACHINE_NO_SERVICE');
    await manager.install({ data: '/Library/Application Support/Aliquot/agent' });
    await manager.start();
    expect(asked).toContain(
      'launchctl bootstrap system /Library/LaunchDaemons/org.aliquot.agent.plist',
    );
    expect(await manager.state()).toEqual({ state: 'stopped' });
    await manager.uninstall();
    expect(await manager.state()).toEqual({ state: 'absent' });
  });
});

/** Python's plistlib reads what launchd reads. */
const hasPython = spawnSync('python3', ['-c', 'import plistlib']).status === 0;

const pythonNote = hasPython ? '' : ' (skipped: there is no `python3` here)';

describe.skipIf(!hasPython)(
  `the property list for launchd, as plistlib reads it${pythonNote}`,
  () => {
    const read = async (root: string, account?: string) => {
      await mkdir(join(folder, 'Library/LaunchDaemons'), { recursive: true });
      const manager = launchdService(root, moved, tool(() => ({})).run);
      await manager.install({
        data: '/Volumes/R&D <1>',
        ...(account === undefined ? {} : { account }),
      });
      const script =
        'import json, plistlib, sys; json.dump(plistlib.load(open(sys.argv[1], "rb")), sys.stdout)';
      const { stdout } = spawnSync('python3', [
        '-c',
        script,
        join(folder, 'Library/LaunchDaemons/org.aliquot.agent.plist'),
      ]);
      return JSON.parse(stdout.toString());
    };

    it('runs in the background, gives way on the disk, and stays', async () => {
      expect(await read('/opt/aliquot')).toEqual({
        Label: 'org.aliquot.agent',
        ProgramArguments: ['/opt/aliquot/bin/aliquot-agent', 'run', '--data', '/Volumes/R&D <1>'],
        RunAtLoad: true,
        KeepAlive: true,
        ProcessType: 'Background',
        LowPriorityIO: true,
        ExitTimeOut: 45,
      });
    });

    it('starts the host where the folder has one, as the account that was named', async () => {
      await mkdir(join(folder, 'opt/hosted'), { recursive: true });
      await writeFile(join(folder, 'opt/hosted/host'), '');
      expect(await read('/opt/hosted', '_aliquot')).toMatchObject({
        ProgramArguments: ['/opt/hosted/host', 'run', '--data', '/Volumes/R&D <1>'],
        UserName: '_aliquot',
      });
    });
  },
);

describe('the install folder', () => {
  it('is three folders above a version’s program, and nothing in a clone or a distribution’s package', () => {
    expect(installRoot('/opt/aliquot/versions/0.1.0/program')).toBe('/opt/aliquot');
    expect(installRoot('/work/agent/dist/program')).toBeUndefined();
    expect(installRoot('/usr/lib/aliquot-agent/program')).toBeUndefined();
  });
});
