import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { posixOnly } from '@aliquot/shared/testing/platform';
import { temporaryFolder } from '@aliquot/shared/testing/temp';
import { expect, test } from 'vitest';
import { runningInProc, runningInPs, runningInTasklist, systemBusyPort } from './processes.ts';

const onLinux = test.runIf(process.platform === 'linux');

test('a program is found in a listing of Windows, whatever the case, with or without .exe', () => {
  const listing =
    '"System Idle Process","0","Services","0","8 K"\r\n"MassHunter Acq.exe","4711","Console","1","212,344 K"\r\n';
  expect(runningInTasklist(listing, ['xcalibur.exe', 'masshunter acq.exe'])).toBe(
    'masshunter acq.exe',
  );
  expect(runningInTasklist(listing, ['MassHunter Acq'])).toBe('MassHunter Acq');
  expect(runningInTasklist(listing, ['Acq.exe', 'Console'])).toBeUndefined();
});

test('a program is found in a listing of ps by its file name', () => {
  const listing = '/sbin/launchd\n/Applications/Acquire.app/Contents/MacOS/Acquire\nzsh\n';
  expect(runningInPs(listing, ['Acquire'])).toBe('Acquire');
  expect(runningInPs(listing, ['Applications', 'acquire'])).toBeUndefined();
});

function proc(...processes: { readonly comm: string; readonly cmdline: string }[]): string {
  const folder = temporaryFolder();
  writeFileSync(join(folder, 'uptime'), '1 2\n');
  for (const [at, { comm, cmdline }] of processes.entries()) {
    mkdirSync(join(folder, String(at + 1)));
    writeFileSync(join(folder, String(at + 1), 'comm'), `${comm}\n`);
    writeFileSync(join(folder, String(at + 1), 'cmdline'), cmdline);
  }
  mkdirSync(join(folder, '99')); // ended between the listing and the look
  return folder;
}

test('a program of Linux is found by its short name, a long one by its command line', async () => {
  const folder = proc(
    { comm: 'kthreadd', cmdline: '' },
    { comm: 'acquisition-ser', cmdline: '/opt/lab/acquisition-server\0--fast\0' },
    { comm: 'Acquire.exe', cmdline: 'C:\\Lab\\Acquire.exe\0' },
  );
  expect(await runningInProc(folder, ['nothing', 'acquisition-server'])).toBe('acquisition-server');
  expect(await runningInProc(folder, ['Acquire.exe'])).toBe('Acquire.exe');
  expect(
    await runningInProc(folder, ['acquisition-serpent', 'acquisition', '--fast', 'uptime']),
  ).toBeUndefined();
});

onLinux('a program that really runs is found while it runs', async () => {
  const name = 'aliquot-busy-instrument';
  const program = join(temporaryFolder(), name);
  copyFileSync('/bin/sleep', program);
  const port = systemBusyPort();
  expect(await port.running([name])).toBeUndefined();
  const child = spawn(program, ['60']);
  try {
    await once(child, 'spawn');
    expect(await port.running([name])).toBe(name);
  } finally {
    child.kill();
    await once(child, 'exit');
  }
  expect(await port.running([name])).toBeUndefined();
});

test('a flag file is there or not', async () => {
  const folder = temporaryFolder();
  const port = systemBusyPort();
  const flag = join(folder, 'busy');
  expect(await port.exists(flag)).toBe(false);
  writeFileSync(flag, '');
  expect(await port.exists(flag)).toBe(true);
  expect(await port.exists(join(flag, 'below'))).toBe(false);
});

test.runIf(posixOnly('Windows calls a name that is too long one that is not there'))(
  'what cannot be looked at is an error',
  async () => {
    const flag = join(temporaryFolder(), 'n'.repeat(5000));
    await expect(systemBusyPort().exists(flag)).rejects.toThrow('ENAMETOOLONG');
  },
);
