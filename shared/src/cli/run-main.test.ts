import { EventEmitter } from 'node:events';
import { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import { systemError } from '../../testing/faulty-files.ts';
import { FolderError } from '../durable/errors.ts';
import { PartialError, UsageError } from './errors.ts';
import { createOutput } from './output.ts';
import { runCommand } from './run-main.ts';
import { StandardOutput, type TextSink } from './standard-output.ts';

/** A standard output that fails as soon as anything is written, if there is a way to fail. */
class Sink extends EventEmitter implements TextSink {
  readonly #errno: string | undefined;

  constructor(errno?: string) {
    super();
    this.#errno = errno;
  }

  write(): boolean {
    const errno = this.#errno;
    if (errno !== undefined) this.emit('error', systemError(errno, 'write', ''));
    return true;
  }
}

async function run(
  argv: readonly string[],
  action: () => unknown = () => undefined,
  debug = false,
) {
  let said = '';
  const program = new Command('aliquot');
  program.configureOutput({ writeOut: () => undefined, writeErr: () => undefined });
  program
    .command('restore')
    .requiredOption('--to <dir>', 'where')
    .action(async () => {
      await action();
    });
  const agents = program.command('agents').action(() => undefined);
  agents.command('approve').argument('NAME');
  program.command('agent').command('revoke').argument('NAME');
  const code = await runCommand(program, ['node', 'aliquot', ...argv], {
    stdout: new StandardOutput(new Sink()),
    stderr: { write: (text) => (said += text) },
    debug,
  });
  return { code, said };
}

const failing = (error: unknown, debug = false) =>
  run(
    ['restore', '--to', 'x'],
    () => {
      throw error;
    },
    debug,
  );

describe('the end of a command', () => {
  it('is 0 when it did its work', async () => {
    expect(await run(['restore', '--to', 'x'])).toEqual({ code: 0, said: '' });
  });

  it('is 0 after --help', async () => {
    expect(await run(['--help'])).toEqual({ code: 0, said: '' });
    expect(await run(['restore', '--help'])).toEqual({ code: 0, said: '' });
  });

  it.each([
    [['restore'], "required option '--to <dir>' not specified"],
    [['restore', '--to'], 'argument missing'],
    [['restore', '--to', 'x', '--fast'], "unknown option '--fast'"],
    [['restor'], "unknown command 'restor'"],
  ])('is 2, with one line, for the wrong usage %s', async (argv, words) => {
    const { code, said } = await run(argv);
    expect(code).toBe(2);
    expect(said).toMatch(/^aliquot: [^\n]+; --help shows the usage \[USAGE_INVALID\]\n$/);
    expect(said).toContain(words);
  });

  it.each([
    [
      ['agent', 'approve', 'hplc-1'],
      'there is no `aliquot agent approve`; use `aliquot agents approve`',
    ],
    [
      ['agents', 'revoke', 'hplc-1'],
      'there is no `aliquot agents revoke`; use `aliquot agent revoke`',
    ],
    [['approve', 'hplc-1'], 'there is no `aliquot approve`; use `aliquot agents approve`'],
  ])(
    'is 2 for %s, a command that stands below another word, and says which',
    async (argv, words) => {
      expect(await run(argv)).toEqual({ code: 2, said: `aliquot: ${words} [USAGE_INVALID]\n` });
    },
  );

  it('is 2 without a command', async () => {
    expect((await run([])).code).toBe(2);
  });

  it('is 2 for a UsageError and for a folder that is not ours', async () => {
    expect(await failing(new UsageError('USAGE_MISSING', 'name a kit with --kit'))).toEqual({
      code: 2,
      said: 'aliquot: name a kit with --kit [USAGE_MISSING]\n',
    });
    expect((await failing(new FolderError('FOLDER_MISSING', 'x'))).code).toBe(2);
    expect((await failing(new FolderError('FOLDER_IN_USE', 'x'))).code).toBe(1);
  });

  it('is 3 when a part was done', async () => {
    expect(
      await failing(new PartialError('PARTIAL', '2 of 9 files could not be restored')),
    ).toEqual({
      code: 3,
      said: 'aliquot: 2 of 9 files could not be restored [PARTIAL]\n',
    });
  });

  it('is 1 for what the system refused, and names the errno', async () => {
    const { code, said } = await failing(systemError('EADDRINUSE', 'listen', '127.0.0.1'));
    expect(code).toBe(1);
    expect(said).toMatch(/\[EADDRINUSE\]\n$/);
  });

  it('is 1 for the unexpected, in one line that says how to see more', async () => {
    const { code, said } = await failing(new TypeError('x is not\na function \u001b[31m'));
    expect(code).toBe(1);
    expect(said).toBe(
      'aliquot: unexpected: x is not a function \\x1b[31m; run again with ALIQUOT_DEBUG=1 to see where, and report it [UNEXPECTED]\n',
    );
    const told = await failing(new TypeError('x', { cause: new Error('why') }), true);
    expect(told.said).toContain('\n    at ');
    expect(told.said).toContain('caused by Error: why');
  });
});

describe('the end of a command whose output is lost', () => {
  const ends = async (errno: string, reads: boolean, end: () => unknown = () => undefined) => {
    let said = '';
    const stderr = Object.assign(new Sink(), {
      write(text: string) {
        said += text;
        return true;
      },
    });
    const stdout = new StandardOutput(new Sink(errno));
    const program = new Command('aliquot').action(async () => {
      const output = createOutput({ json: true, stdout, stderr, clock: { nowMs: () => 0 }, reads });
      await output.result({ a: 1 });
      await output.result({ a: 2 });
      await end();
    });
    return {
      code: await runCommand(program, ['node', 'aliquot'], { stdout, stderr, debug: false }),
      said,
    };
  };
  const fail = (error: Error) => () => {
    throw error;
  };

  it('is 1 and quiet for one that only reads, when its reader has left', async () => {
    expect(await ends('EPIPE', true)).toEqual({ code: 1, said: '' });
    expect(await ends('EOF', true)).toEqual({ code: 1, said: '' });
  });

  it.each([
    ['ENOSPC', 'its disk is full'],
    ['EDQUOT', 'its quota is used up'],
    ['EBADF', 'it is closed'],
    ['EIO', 'EIO'],
  ])('is 1 and says why for one that only reads: %s', async (errno, why) => {
    const said = `aliquot: not all of standard output could be written: ${why} [OUTPUT_LOST]\n`;
    expect(await ends(errno, true)).toEqual({ code: 1, said });
  });

  it('is 1 and says that the work is done, where it is', async () => {
    const { code, said } = await ends('EPIPE', false);
    expect(code).toBe(1);
    expect(said).toBe(
      'aliquot: not all of standard output could be written: whoever read it has gone; the work itself is done [OUTPUT_LOST]\n',
    );
  });

  it.each([
    [1, new FolderError('FOLDER_IN_USE', 'x')],
    [2, new UsageError('USAGE_MISSING', 'x')],
    [3, new PartialError('PARTIAL', 'x')],
  ])('is the work’s own %i, said first', async (code, error) => {
    const ended = await ends('ENOSPC', false, fail(error));
    expect(ended.code).toBe(code);
    expect(ended.said).toMatch(
      /^aliquot: x \[[A-Z_]+\]\naliquot: not all of .*: its disk is full \[OUTPUT_LOST\]\n$/,
    );
  });

  it('is 1 for help that could not be printed', async () => {
    for (const errno of ['ENOSPC', 'EPIPE']) {
      const stdout = new StandardOutput(new Sink(errno));
      let said = '';
      const stderr = { write: (text: string) => (said += text) };
      expect(
        await runCommand(new Command('aliquot'), ['node', 'aliquot', '--help'], {
          stdout,
          stderr,
          debug: false,
        }),
      ).toBe(1);
      expect(said !== '').toBe(errno === 'ENOSPC');
    }
  });
});
