import { EventEmitter } from 'node:events';
import { describe, expect, it } from 'vitest';
import { createOutput, OutputClosed } from './output.ts';
import { StandardOutput, type TextSink } from './standard-output.ts';

class Sink extends EventEmitter implements TextSink {
  text = '';
  full = false;
  writableLength = 0;
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

function setUp(json: boolean, terminal = false, reads = false) {
  const stdout = new Sink(terminal);
  const stderr = new Sink(terminal);
  let now = 0;
  const output = createOutput({
    json,
    stdout: new StandardOutput(stdout),
    stderr,
    clock: { nowMs: () => now },
    reads,
  });
  return { stdout, stderr, output, pass: (ms: number) => (now += ms) };
}

describe('output', () => {
  it('P6: steers no terminal, whatever a command was told to say, on whichever way', async () => {
    const hostile = 'a\u001b]0;owned\u0007\u009b2J\u202e\u2028\u200b\ud83d\u007f\rb';
    // Our own word to the terminal stays: it takes the progress line away.
    const said = ({ text }: Sink) => text.replaceAll('\r\u001b[K', '');
    const steering = /(?!\n)[\p{Cc}\p{Cs}\u2028\u202e\u200b]/u;
    for (const json of [false, true]) {
      for (const terminal of [false, true]) {
        const { stdout, stderr, output, pass } = setUp(json, terminal);
        const progress = output.progress(hostile);
        pass(20_000);
        progress.update({ bytes: 1, files: 1, current: () => hostile });
        await output.result({ [hostile]: hostile }, `one line\n${hostile}`);
        output.note(hostile);
        progress.done();
        if (terminal) {
          // A sign may be cut between two pieces.
          await output.bytes(Buffer.from(`${hostile}µ`).subarray(0, -1));
          await output.bytes(Buffer.from('µ').subarray(1));
          expect(stdout.text.endsWith('µ')).toBe(true);
        }
        expect(said(stdout)).not.toMatch(steering);
        expect(said(stderr)).not.toMatch(steering);
        if (json && !terminal) expect(JSON.parse(stdout.text)).toEqual({ [hostile]: hostile });
      }
    }
  });

  it('with --json is one object a line and nothing else on standard output', async () => {
    const { stdout, stderr, output } = setUp(true);
    await output.result(
      {
        path: 'a\nb',
        id: Buffer.from([1, 255]),
        key: new Uint8Array([2]),
        mtimeNs: 12n,
        none: undefined,
      },
      'text',
    );
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
    expect(done).toBe(true);
  });

  it('that nobody takes any more ends a command that only reads, also while it waits for room', async () => {
    const { stdout, output } = setUp(true, false, true);
    stdout.full = true;
    const waiting = output.result({ a: 1 });
    stdout.emit('error', Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }));
    await waiting;
    await expect(output.result({ a: 2 })).rejects.toBeInstanceOf(OutputClosed);
    await expect(output.bytes(Buffer.from('x'))).rejects.toBeInstanceOf(OutputClosed);
  });

  it('that nobody takes any more changes nothing for a command that works, and nothing more is written', async () => {
    const { stdout, output } = setUp(true);
    stdout.full = true;
    const waiting = output.result({ a: 1 });
    stdout.emit('error', Object.assign(new Error('no space left'), { code: 'ENOSPC' }));
    await waiting;
    const before = stdout.text;
    await output.result({ a: 2 });
    expect(stdout.text).toBe(before);
  });

  it('waits for room many times without leaving listeners behind', async () => {
    const { stdout, output } = setUp(true);
    for (let round = 0; round < 50; round += 1) {
      stdout.full = true;
      const waiting = output.result({ round });
      stdout.full = false;
      stdout.emit('drain');
      await waiting;
    }
    expect(stdout.listenerCount('error') + stdout.listenerCount('drain')).toBe(1);
  });

  it('for the eye is left out while standard error is stalled, and says how much when it flows again', () => {
    const { stderr, output } = setUp(true);
    stderr.writableLength = 1 << 20;
    output.note('one');
    output.note('two');
    expect(stderr.text).toBe('');
    stderr.writableLength = 0;
    output.note('three');
    output.note('four');
    expect(stderr.text).toBe(
      '(2 remarks were left out: standard error was stalled)\nthree\nfour\n',
    );
  });
});

describe('progress', () => {
  it('names the path at hand, the end of it where there is no room, in one line of the terminal', () => {
    const { stderr, output, pass } = setUp(false, true);
    const progress = output.progress('restored');
    const path = `/data/${'a-long-folder/'.repeat(12)}signal.csv`;
    pass(200);
    progress.update({ files: 2, bytes: 5, current: () => path });
    const line = stderr.text.split('\u001b[K').at(-1) ?? '';
    expect(line).toMatch(/^restored 2 files, .*: ….*\/signal\.csv$/);
    expect(line.length).toBeLessThanOrEqual(79);
  });

  it('elsewhere has the whole path; does not ask for it when nothing is shown, nor shows more than everything', () => {
    const { stderr, output, pass } = setUp(false);
    const progress = output.progress('checked');
    let asked = 0;
    const current = () => `/data/${++asked}`;
    progress.update({ bytes: 1, totalBytes: 10, current });
    pass(20_000);
    progress.update({ bytes: 12, totalBytes: 10, current });
    expect(asked).toBe(1);
    expect(stderr.text).toMatch(/^checked 12 B of 10 B \(100%\), .*: \/data\/1\n$/);
  });

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
    expect(stderr.text).toBe(
      'restored 12 of 40 files, 3.0 MiB of 9.0 MiB (33%), 307 KiB/s, 20 s left\n',
    );
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
