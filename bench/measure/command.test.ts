import { once } from 'node:events';
import { expect, test } from 'vitest';
import { measure, run, start, stop } from './command.ts';
import { commandLineOf, memoryOf, treeOf } from './procfs.ts';

const node = (script: string, ...args: string[]) => ({
  program: process.execPath,
  args: ['-e', script, ...args],
});
const linux = process.platform === 'linux';

test('a command gives what it wrote, and one that fails its last words', async () => {
  expect(await run(node('console.log("done")'))).toBe('done\n');
  await expect(run(node('console.error("no disk"); process.exitCode = 3'))).rejects.toThrow(
    /ended with 3: no disk/,
  );
  expect(await run({ ...node('process.exitCode = 3'), accepted: [0, 3] })).toBe('');
  await expect(run({ program: '/no/such/program', args: [] })).rejects.toThrow(
    /could not be started/,
  );
});

test.runIf(linux)(
  'processor time of a command holds that of the children it waited for',
  async () => {
    const busy =
      'for (const end = process.cpuUsage().user + 300000; process.cpuUsage().user < end;);';
    const parent = `require('node:child_process').execFileSync(process.execPath, ['-e', process.argv[1]])`;
    const { clientCpuSeconds } = await measure(node(parent, busy));
    expect(clientCpuSeconds).toBeGreaterThanOrEqual(0.28);
  },
);

test.runIf(linux)('memory of a child that serves is counted for the server', async () => {
  const hold = 'const held = Buffer.alloc(64 << 20, 1); setTimeout(() => held[0], 600)';
  const parent = `require('node:child_process').execFileSync(process.execPath, ['-e', process.argv[1], 'serve'])`;
  const usage = await measure(node(parent, hold), {
    isServer: (commandLine) => commandLine.endsWith(' serve'),
  });
  expect(usage.serverPeakBytes).toBeGreaterThan(64 << 20);
  expect(usage.clientPeakBytes).toBeLessThan(usage.serverPeakBytes);
});

test.runIf(linux)(
  'a program that goes on is seen with its memory until it is stopped',
  async () => {
    const child = start(node('console.log("up"); setInterval(() => 0, 1000)', 'it'));
    if (child.stdout === null || child.pid === undefined) throw new Error('no child');
    await once(child.stdout, 'data');
    expect(treeOf(process.pid)).toContain(child.pid);
    expect(memoryOf(child.pid, 'VmRSS')).toBeGreaterThan(1 << 20);
    expect(commandLineOf(child.pid)).toMatch(/ it$/);
    await stop(child);
    expect(memoryOf(child.pid, 'VmRSS')).toBe(0);
  },
);
