import { describe, expect, it } from 'vitest';
import type { LineTarget } from './line-target.ts';
import { LineWriter } from './line-writer.ts';

type Done = Parameters<LineTarget['write']>[1];

/** A target that the test answers for. */
class Target implements LineTarget {
  text = '';
  #pending: { readonly bytes: Buffer; readonly done: Done } | undefined;

  write(bytes: Buffer, done: Done): void {
    expect(this.#pending).toBeUndefined();
    this.#pending = { bytes, done };
  }

  get busy(): boolean {
    return this.#pending !== undefined;
  }

  /** Takes what was handed over, or `upTo` bytes of it and then fails. */
  take(upTo?: number): void {
    const { bytes, done } = this.#pending ?? expect.fail('nothing was written');
    this.#pending = undefined;
    this.text += bytes.subarray(0, upTo).toString();
    if (upTo === undefined) done(undefined, bytes.length);
    else done(new Error('ENOSPC'), upTo);
  }

  takeAll(): void {
    while (this.busy) this.take();
  }
}

function setUp() {
  const target = new Target();
  return { target, writer: new LineWriter(target, (count) => `[${count} lost]\n`) };
}

describe('lines on their way to a log', () => {
  it('go through in order, also while an earlier one is not yet taken', () => {
    const { target, writer } = setUp();
    for (const line of ['a', 'b', 'c']) writer.write(`${line}\n`);
    target.takeAll();
    expect(target.text).toBe('a\nb\nc\n');
  });

  it('that a full disk refuses are counted, and said when it takes lines again', () => {
    const { target, writer } = setUp();
    for (let line = 0; line < 7; line += 1) {
      writer.write(`${line}\n`);
      while (target.busy) target.take(0);
    }
    writer.write('again\n');
    target.takeAll();
    writer.write('and on\n');
    target.takeAll();
    expect(target.text).toBe('[7 lost]\nagain\nand on\n');
  });

  it('that a stalled reader does not take are kept to a bound of memory, the rest is counted', () => {
    const { target, writer } = setUp();
    const line = `${'x'.repeat(999)}\n`;
    for (let count = 0; count < 5000; count += 1) writer.write(line);
    target.takeAll();
    writer.write('last\n');
    target.takeAll();
    const written = target.text.split('\n').filter((one) => one.startsWith('xxx')).length;
    const lost = [...target.text.matchAll(/\[(\d+) lost\]/g)].reduce(
      (sum, [, count]) => sum + Number(count),
      0,
    );
    expect(written + lost).toBe(5000);
    expect(written * 1000).toBeLessThan(1.2 * 1024 ** 2);
    expect(written).toBeGreaterThan(1000);
  });

  it('stay whole: after one that was cut off, the next begins on a line of its own', () => {
    const { target, writer } = setUp();
    writer.write('abcdef\n');
    target.take(3);
    writer.write('next\n');
    target.takeAll();
    expect(target.text).toBe('abc\n[1 lost]\nnext\n');
  });

  it('are counted exactly when a part of several got through', () => {
    const { target, writer } = setUp();
    writer.write('one\n');
    for (const line of ['two', 'three', 'four']) writer.write(`${line}\n`);
    target.take(); // one
    target.take('two\nth'.length);
    writer.write('five\n');
    target.takeAll();
    expect(target.text).toBe('one\ntwo\nth\n[2 lost]\nfive\n');
  });

  it('are never counted twice, also when the line that says so is refused or is all that gets through', () => {
    const { target, writer } = setUp();
    writer.write('1\n');
    target.take(0);
    writer.write('2\n');
    target.take('[1 lost]\n'.length); // said, and then full again
    writer.write('3\n');
    target.take(0);
    writer.write('4\n');
    target.takeAll();
    expect(target.text).toBe('[1 lost]\n[2 lost]\n4\n');
  });

  it('have all gone when the end has come, and a stalled reader does not hold it up for ever', async () => {
    const { target, writer } = setUp();
    writer.write('a\n');
    writer.write('b\n');
    let ended = false;
    const end = writer.end().then(() => {
      ended = true;
    });
    target.take();
    await Promise.resolve();
    expect(ended).toBe(false);
    target.take();
    await end;
    writer.write('never taken\n');
    await writer.end();
    expect(target.text).toBe('a\nb\n');
  });
});
