import { spawn } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { describe, expect, it } from 'vitest';
import { createOutput, OutputClosed, type TextSink } from './output.ts';

class Sink extends EventEmitter implements TextSink {
  text = '';
  full = false;
  readonly isTTY: boolean;
  readonly columns = 80;

  constructor(isTTY = false) {
    super();
    this.isTTY = isTTY;
  }

  write(text: string): boolean {
    this.text += text;
    return !this.full;
  }
}

function setUp(json: boolean, terminal = false) {
  const stdout = new Sink(terminal);
  const stderr = new Sink(terminal);
  let now = 0;
  const output = createOutput({ json, stdout, stderr, clock: { nowMs: () => now } });
  return { stdout, stderr, output, pass: (ms: number) => (now += ms) };
}

describe('output', () => {
  it('with --json is one object a line and nothing else on standard output', async () => {
    const { stdout, stderr, output } = setUp(true);
    await output.result({ path: 'a\nb', id: Buffer.from([1, 255]), key: new Uint8Array([2]), mtimeNs: 12n, none: undefined }, 'text');
    output.note('a remark');
    expect(stdout.text).toBe('{"path":"a\\nb","id":"01ff","key":"02","mtimeNs":"12"}\n');
    expect(stderr.text).toBe('a remark\n');
  });

  it('without --json is the text, and nothing where there is no text', async () => {
    const { stdout, output } = setUp(false);
    await output.result({ a: 1 }, 'one');
    await output.result({ a: 2 });
    expect(stdout.text).toBe('one\n');
  });

  it('waits for a slow reader', async () => {
    const { stdout, output } = setUp(true);
    stdout.full = true;
    let done = false;
    const first = output.result({ a: 1 }).then(() => {
      done = true;
    });
    await Promise.resolve();
    expect(done).toBe(false);
    stdout.emit('drain');
    await first;
    await output.flush();
    expect(done).toBe(true);
  });

  it('ends the command when the reader has gone, also while waiting for it', async () => {
    const { stdout, output } = setUp(true);
    stdout.full = true;
    const waiting = output.result({ a: 1 });
    stdout.emit('error', Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }));
    await waiting;
    await expect(output.result({ a: 2 })).rejects.toBeInstanceOf(OutputClosed);
  });

  it('ends quietly with 0 behind a real pipe that closes early', async () => {
    const program = `
      import { Command } from 'commander';
      import { createOutput } from '@aliquot/shared/cli/output';
      import { runMain } from '@aliquot/shared/cli/run-main';
      const output = createOutput({ json: true, stdout: process.stdout, stderr: process.stderr, clock: { nowMs: () => 0 } });
      const program = new Command('aliquot').action(async () => {
        for (;;) await output.result({ filler: 'x'.repeat(1000) });
      });
      await runMain(program, process.argv);`;
    const child = spawn(process.execPath, ['--conditions=aliquot-source', '--input-type=module', '-e', program], {
      cwd: import.meta.dirname,
    });
    let errors = '';
    child.stderr.on('data', (chunk: Buffer) => {
      errors += chunk.toString();
    });
    const closed = once(child, 'close');
    await once(child.stdout, 'data');
    child.stdout.destroy();
    expect([...(await closed), errors]).toEqual([0, null, '']);
  });
});

describe('progress', () => {
  const state = { files: 12, totalFiles: 40, bytes: 3 * 1024 ** 2, totalBytes: 9 * 1024 ** 2 };

  it('elsewhere than on a terminal is a line now and then, with files, bytes, rate and time left', () => {
    const { stderr, output, pass } = setUp(false);
    const progress = output.progress('restored');
    pass(5000);
    progress.update(state);
    expect(stderr.text).toBe('');
    pass(5000);
    progress.update(state);
    progress.update(state);
    progress.done();
    expect(stderr.text).toBe('restored 12 of 40 files, 3.0 MiB of 9.0 MiB (33%), 307 KiB/s, 20 s left\n');
  });

  it('without totals says how long it has been', () => {
    const { stderr, output, pass } = setUp(false);
    const progress = output.progress('captured');
    pass(10_000);
    progress.update({ files: 1, bytes: 0 });
    expect(stderr.text).toBe('captured 1 file, 0 B, 10 s so far\n');
  });

  it('on a terminal is one line, redrawn, and gone before the next words', async () => {
    const { stdout, stderr, output, pass } = setUp(false, true);
    const progress = output.progress('restored');
    pass(200);
    progress.update(state);
    expect(stderr.text).toContain('\r\u001b[Krestored 12 of 40 files');
    expect(stderr.text.length).toBeLessThanOrEqual(84);
    await output.result({}, 'done');
    expect(stderr.text.endsWith('\r\u001b[K')).toBe(true);
    expect(stdout.text).toBe('done\n');
    progress.done();
    expect(stderr.text.split('\r\u001b[K')).toHaveLength(3);
  });
});
