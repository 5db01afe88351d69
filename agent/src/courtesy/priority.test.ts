import { constants } from 'node:os';
import { expect, test } from 'vitest';
import { lowerPriority, type PriorityPort } from './priority.ts';

function recorder(platform: NodeJS.Platform, set: (id: number) => void = () => undefined) {
  const calls: (readonly [number, number])[] = [];
  const port: PriorityPort = {
    platform,
    threads: () => [11, 12, 13],
    set: (id, priority) => {
      set(id);
      calls.push([id, priority]);
    },
  };
  return { calls, port };
}

test('on Linux every thread is put last, on Windows the class is below normal', () => {
  const linux = recorder('linux');
  expect(lowerPriority(linux.port)).toBeUndefined();
  expect(linux.calls).toEqual([11, 12, 13].map((id) => [id, 19]));
  const windows = recorder('win32');
  lowerPriority(windows.port);
  expect(windows.calls[0]).toEqual([11, 10]);
});

test('a thread that has just ended does not keep the others from it', () => {
  const { calls, port } = recorder('linux', (id) => {
    if (id === 12)
      throw Object.assign(new Error('uv_os_setpriority returned ESRCH (no such process)'), {
        code: 'ERR_SYSTEM_ERROR',
        info: { code: 'ESRCH' },
      });
  });
  expect(lowerPriority(port)).toBeUndefined();
  expect(calls.map(([id]) => id)).toEqual([11, 13]);
});

test('where the system refuses, the reason comes back and nothing is thrown', () => {
  const { port } = recorder('linux', () => {
    throw Object.assign(new Error('EACCES'), { info: { code: 'EACCES' } });
  });
  expect(lowerPriority(port)).toBe('EACCES');
});

test('a process really gets behind the others', async () => {
  const { execFile } = await import('node:child_process');
  const { promisify } = await import('node:util');
  const script = `const {lowerPriority} = await import(${JSON.stringify(new URL('./priority.ts', import.meta.url).href)}); lowerPriority(); console.log((await import('node:os')).getPriority())`;
  const { stdout } = await promisify(execFile)(process.execPath, [
    '--input-type=module',
    '-e',
    script,
  ]);
  // Not "more than ours": whoever runs the tests may have put them last already.
  const { PRIORITY_BELOW_NORMAL, PRIORITY_LOW } = constants.priority;
  expect(Number(stdout)).toBe(process.platform === 'win32' ? PRIORITY_BELOW_NORMAL : PRIORITY_LOW);
});
