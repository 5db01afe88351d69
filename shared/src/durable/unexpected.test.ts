import { spawnSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { FormatError } from '@aliquot/proto';
import { describe, expect, it } from 'vitest';
import { nextUncaught } from '../../testing/uncaught.ts';
import { FileError } from '../durable/errors.ts';
import { endWith, isForeseen } from './unexpected.ts';

const coded = (code: string): Error => Object.assign(new Error('of some library'), { code });

describe('I-UNFORESEEN an error', () => {
  it('is foreseen when it is one of ours, of the operating system, of LevelDB, or of a connection that went', async () => {
    const missing = await readFile('/no/such/file').catch((error: unknown) => error);
    for (const error of [
      new FormatError('FORMAT_LIMIT', 'too long'),
      new FileError('FILE_IO', 'broken'),
      missing,
    ])
      expect(isForeseen(error)).toBe(true);
    for (const code of [
      'LEVEL_IO_ERROR',
      'LEVEL_DATABASE_NOT_OPEN',
      'EPIPE',
      'ERR_STREAM_PREMATURE_CLOSE',
    ])
      expect(isForeseen(coded(code))).toBe(true);
  });

  it('is not foreseen when it is a fault of ours, whatever its text says', () => {
    for (const error of [
      new TypeError('no such file'),
      new RangeError('ENOSPC'),
      new Error('STORE_FAILED'),
      coded('ERR_OUT_OF_RANGE'),
      'text',
      undefined,
    ])
      expect(isForeseen(error)).toBe(false);
  });

  it('that was not foreseen ends the process, whoever catches around it; others do not', async () => {
    const uncaught = nextUncaught();
    const fault = new TypeError('x is undefined');
    const catchAll = (error: unknown): void => {
      try {
        endWith(error);
      } catch {
        expect.unreachable();
      }
    };
    catchAll(coded('EPIPE'));
    catchAll(fault);
    expect(await uncaught).toBe(fault);
  });
});

describe('I-UNFORESEEN a service that meets a fault', () => {
  const program = (name: string) => `
    import { endWith } from '${new URL('./unexpected.ts', import.meta.url)}';
    import { openLog } from '${new URL('../log-lines/log.ts', import.meta.url)}';
    import { standardError } from '${new URL('../log-lines/line-target.ts', import.meta.url)}';
    import { endOnUnexpected } from '${new URL('../log-lines/last-words.ts', import.meta.url)}';
    const { log, end } = openLog({ level: 'info', target: standardError(), clock: { nowMs: () => 0 }, journal: false });
    endOnUnexpected(log, end);
    setInterval(() => undefined, 1000);
    try { throw new ${name}('x is undefined'); } catch (error) { endWith(error); }`;

  it('ends with exit code 1 and one line of log with the stack', () => {
    const args = ['--conditions=aliquot-source', '--input-type=module', '-e', program('TypeError')];
    const { status, stderr } = spawnSync(process.execPath, args, {
      encoding: 'utf8',
      cwd: new URL('../..', import.meta.url),
    });
    const lines = stderr.trim().split('\n');
    expect(lines).toHaveLength(1);
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({
      level: 'fatal',
      code: 'UNEXPECTED',
      error: 'TypeError: x is undefined',
      stack: expect.stringContaining('at '),
      msg: expect.stringMatching(/^unexpected: .*report it/),
    });
    expect(status).toBe(1);
  });
});
