import { EventEmitter } from 'node:events';
import { describe, expect, it } from 'vitest';
import { UsageError } from './errors.ts';
import { readPassphrase } from './passphrase.ts';

class Terminal extends EventEmitter {
  readonly isTTY: boolean;
  readonly modes: boolean[] = [];
  shown = '';
  readonly #answers: (string | Buffer)[];

  constructor(answers: (string | Buffer)[], isTTY = true) {
    super();
    this.isTTY = isTTY;
    this.#answers = answers;
  }

  setRawMode = (mode: boolean) => {
    this.modes.push(mode);
    return this;
  };

  resume = () => {
    for (const part of [this.#answers.shift() ?? '\u0003'].flat())
      queueMicrotask(() => this.emit('data', Buffer.from(part)));
    return this;
  };

  pause = () => this;

  write = (text: string) => {
    this.shown += text;
    return true;
  };
}

const ask = (terminal: Terminal, isNew = false) =>
  readPassphrase({
    purpose: 'recovery kit lab.kit',
    ...(isNew ? { judge: async (text: string) => expect(text).not.toContain('weak') } : {}),
    input: terminal as never,
    output: terminal as never,
    fromEnvironment: undefined,
  });

describe('the passphrase', () => {
  it('comes from the environment when it is there', async () => {
    expect(await readPassphrase({ purpose: 'kit', fromEnvironment: 'from there' })).toBe(
      'from there',
    );
    await expect(
      readPassphrase({ purpose: 'kit', fromEnvironment: 'from there ' }),
    ).rejects.toThrow('in ALIQUOT_PASSPHRASE begins or ends');
  });

  it('comes from a file that was named before anything else', async () => {
    expect(
      await readPassphrase({
        purpose: 'kit',
        fromFile: 'from a file',
        fromEnvironment: 'from there',
      }),
    ).toBe('from a file');
  });

  it('is judged when it is new, wherever it comes from, and on a terminal before it is typed again', async () => {
    const judge = async () => {
      throw new UsageError('USAGE_INVALID', 'too weak');
    };
    await expect(readPassphrase({ purpose: 'kit', fromFile: 'x', judge })).rejects.toThrow(
      'too weak',
    );
    await expect(readPassphrase({ purpose: 'kit', fromEnvironment: 'x', judge })).rejects.toThrow(
      'too weak',
    );
    const terminal = new Terminal(['x\r', 'x\r']);
    const options = {
      purpose: 'kit',
      judge,
      input: terminal as never,
      output: terminal as never,
      fromEnvironment: undefined,
    };
    await expect(readPassphrase(options)).rejects.toThrow('too weak');
    expect(terminal.shown).not.toContain('again');
  });

  it('typed with what nobody sees (an arrow key, a tab, a blank at the end) is refused, not changed', async () => {
    await expect(ask(new Terminal(['correct\u001b[D horse\r']))).rejects.toThrow(
      'control character',
    );
    await expect(ask(new Terminal(['correct\thorse\r']))).rejects.toThrow('control character');
    await expect(ask(new Terminal(['correct horse \r']))).rejects.toThrow(
      'begins or ends with a blank',
    );
  });

  it('is asked for without being shown', async () => {
    const terminal = new Terminal(['correct horse\r']);
    expect(await ask(terminal)).toBe('correct horse');
    expect(terminal.shown).toBe('Passphrase for the recovery kit lab.kit: \n');
    expect(terminal.modes).toEqual([true, false]);
    expect(terminal.listenerCount('data')).toBe(0);
  });

  it('may be corrected while typing', async () => {
    expect(await ask(new Terminal(['wrong\u0015ab👩\u007fc\n']))).toBe('abc');
  });

  it('is the same in any Unicode spelling', async () => {
    expect(await ask(new Terminal(['scho\u0308n\r']))).toBe('sch\u00f6n');
  });

  it('is asked for twice when it is new', async () => {
    expect(await ask(new Terminal(['one\r', 'one\r']), true)).toBe('one');
    await expect(ask(new Terminal(['one\r', 'two\r']), true)).rejects.toMatchObject({
      code: 'USAGE_INVALID',
    });
  });

  it('is never empty, and may be refused by Ctrl-C', async () => {
    await expect(ask(new Terminal(['\r']))).rejects.toThrow('the passphrase is empty');
    await expect(ask(new Terminal(['ab\u0003']))).rejects.toThrow('interrupted');
  });

  it('without a terminal says how else to give it', async () => {
    await expect(ask(new Terminal([], false))).rejects.toMatchObject({
      code: 'USAGE_MISSING',
      message: expect.stringContaining('set ALIQUOT_PASSPHRASE'),
    });
  });
});
