import type { ReadStream, WriteStream } from 'node:tty';
import { passphraseFromEnvironment } from './environment.ts';
import { UsageError } from './errors.ts';
import { secretFrom } from './secret.ts';
import { forTerminal } from './terminal.ts';

export interface PassphraseOptions {
  /** What the passphrase is for, as in "recovery kit lab.kit". */
  readonly purpose: string;
  /**
   * For a new passphrase: throws what is wrong with it; on a terminal it is then asked for twice.
   */
  readonly judge?: (passphrase: string) => Promise<void>;
  /** From a file that was named, already read as a secret. */
  readonly fromFile?: string | undefined;
  readonly input?: Pick<ReadStream, 'isTTY' | 'setRawMode' | 'on' | 'off' | 'resume' | 'pause'>;
  readonly output?: Pick<WriteStream, 'write'>;
  /** What `ALIQUOT_PASSPHRASE` says; read from the environment unless given. */
  readonly fromEnvironment?: string | undefined;
}

/**
 * The passphrase: from a file, else from `ALIQUOT_PASSPHRASE`, else asked for on the terminal
 * without showing it; the same text in any Unicode spelling gives the same passphrase (NFC).
 * Errors: `USAGE_MISSING` without a terminal, `USAGE_INVALID` when it is not one (`secretFrom`),
 * when the two do not agree, or when interrupted.
 */
export async function readPassphrase(options: PassphraseOptions): Promise<string> {
  const { fromFile, judge } = options;
  const variable =
    'fromEnvironment' in options ? options.fromEnvironment : passphraseFromEnvironment();
  const given =
    fromFile ??
    (variable === undefined
      ? undefined
      : secretFrom(variable, 'the passphrase in ALIQUOT_PASSPHRASE'));
  const passphrase = (given ?? (await ask(options))).normalize('NFC');
  if (given !== undefined) await judge?.(passphrase);
  return passphrase;
}

async function ask(options: PassphraseOptions): Promise<string> {
  const input = options.input ?? process.stdin;
  const output = options.output ?? process.stderr;
  if (input.isTTY !== true) {
    throw new UsageError(
      'USAGE_MISSING',
      `a passphrase for the ${options.purpose} is needed; give --passphrase-file, set ALIQUOT_PASSPHRASE, or run this on a terminal`,
    );
  }
  const first = secretFrom(
    await askHidden(input, output, `Passphrase for the ${options.purpose}: `),
    'the passphrase',
  );
  if (options.judge !== undefined) {
    await options.judge(first.normalize('NFC')); // before it is typed again
    const second = await askHidden(input, output, 'The same again: ');
    if (first !== second)
      throw new UsageError('USAGE_INVALID', 'the two passphrases differ; start again');
  }
  return first;
}

type Input = NonNullable<PassphraseOptions['input']>;

function askHidden(
  input: Input,
  output: Pick<WriteStream, 'write'>,
  question: string,
): Promise<string> {
  output.write(forTerminal(question));
  return new Promise((resolve, reject) => {
    const decoder = new TextDecoder();
    let text = '';
    const end = (settle: () => void) => {
      input.off('data', onData);
      input.setRawMode(false);
      input.pause();
      output.write('\n');
      settle();
    };
    const onData = (data: Buffer) => {
      for (const character of decoder.decode(data, { stream: true })) {
        if (character === '\r' || character === '\n' || character === '\u0004')
          return end(() => resolve(text));
        if (character === '\u0003')
          return end(() => reject(new UsageError('USAGE_INVALID', 'interrupted')));
        if (character === '\u007f' || character === '\b') text = [...text].slice(0, -1).join('');
        else if (character === '\u0015') text = '';
        else text += character; // an arrow key, a tab: refused at the end, for it would not be seen
      }
    };
    input.setRawMode(true);
    input.on('data', onData);
    input.resume();
  });
}
