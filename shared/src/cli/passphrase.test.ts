import { EventEmitter } from 'node:events';
import { describe, expect, it } from 'vitest';
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
    for (const part of [this.#answers.shift() ?? '\u0003'].flat()) queueMicrotask(() => this.emit('data', Buffer.from(part)));
    return this;
  };

  pause = () => this;

  write = (text: string) => {
    this.shown += text;
    return true;
  };
}

const ask = (terminal: Terminal, confirm = false) =>
  readPassphrase({
    purpose: 'recovery kit lab.kit',
    confirm,
    input: terminal as never,
    output: terminal as never,
    fromEnvironment: undefined,
  });

describe('the passphrase', () => {
  it('comes from the environment when it is there', async () => {
    expect(await readPassphrase({ purpose: 'kit', fromEnvironment: 'from there' })).toBe('from there');
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
    await expect(ask(new Terminal(['one\r', 'two\r']), true)).rejects.toMatchObject({ code: 'USAGE_INVALID' });
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
