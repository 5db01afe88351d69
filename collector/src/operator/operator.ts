import { OPERATOR_PURPOSES, type OperatorPurpose } from '@aliquot/proto';
import { UsageError } from '@aliquot/shared/cli/errors';
import { formatInstant } from '@aliquot/shared/cli/format';
import { didYouMean, nearest } from '@aliquot/shared/cli/nearest';
import { readPassphrase } from '@aliquot/shared/cli/passphrase';
import { parseDuration } from '@aliquot/shared/cli/time';
import { writeFileDurably } from '@aliquot/shared/durable/durable';
import { newOperator, openOperator, sealOperator } from '@aliquot/shared/keys/operator';
import type { Command } from 'commander';
import { type CommandContext, outputOf } from '../cli/context.ts';
import { refuseExisting } from './kit.ts';
import { openKitFile } from './kit-file.ts';
import { AGENT_NAME } from './name-list.ts';
import { type ByOptions, openKeyFile, withKeyFile } from './operator-key.ts';
import {
  type KitOptions,
  readSecretFile,
  withExample,
  withJson,
  withKit,
  withNotes,
} from './options.ts';
import { LEAST_CHARACTERS, refuseWeak } from './weak-passphrase.ts';

interface AddOptions extends KitOptions {
  readonly out: string;
  readonly purposes: string;
  readonly expires: string;
  readonly newPassphraseFile?: string;
  readonly weakPassphrase?: boolean;
  readonly json?: boolean;
}

const MOST_YEARS = 5;
/** What a key is for unless it is said: the work of every day, by which nothing is thrown away. */
const dailyPurposes = OPERATOR_PURPOSES.filter((purpose) => purpose !== 'retention');

export function registerOperator(program: Command, context: CommandContext): void {
  const operator = program
    .command('operator')
    .description('Keys of the people who run the vault, so that the kit stays in the safe.');
  withExample(operator, 'aliquot operator add maria --kit lab.kit --out maria.key');

  const add = operator
    .command('add')
    .description("Make one person's key file, certified by the vault's authority.")
    .argument('NAME', 'who it is for: letters, digits, dots, dashes')
    .requiredOption(
      '--out <KEYFILE>',
      'the key file to write; an existing file is never overwritten',
    )
    .option(
      '--purposes <LIST>',
      `what it may sign, of ${OPERATOR_PURPOSES.join(', ')}`,
      dailyPurposes.join(','),
    )
    .option('--expires <AGE>', `how long it holds, ${MOST_YEARS}y at most`, '1y')
    .option(
      '--new-passphrase-file <FILE>',
      "the key file's own passphrase, instead of the question",
    )
    .option(
      '--weak-passphrase',
      'take a passphrase that is easy to guess: only where nothing is at stake',
    );
  withJson(withKit(add, 'needed'));
  withNotes(
    add,
    'settings: sign what PCs are told to watch, and read the policy. agents: say who may enrol with the bundle of a group. diagnose: ask PCs for diagnostics. retention: sign what lets the collector throw something away; only where it is named, and beside settings for the rules in the policy. A key opens no content and no names.',
    `Its passphrase needs ${LEAST_CHARACTERS} characters or more. Where ALIQUOT_PASSPHRASE is set and nothing else is said, the key file takes that one.`,
  );
  withExample(
    add,
    'aliquot operator add maria --kit lab.kit --out maria.key --purposes settings,retention --expires 90d',
  );
  add.action(async (name: string, options: AddOptions) => addOperator(context, name, options));

  const show = operator
    .command('show')
    .description('Prove that a key file opens, and say whose it is and what it is for.');
  withJson(withKeyFile(show));
  withExample(show, 'aliquot operator show --by maria.key');
  show.action(async (options: ByOptions & { json?: boolean }) => showOperator(context, options));
}

async function showOperator(
  context: CommandContext,
  options: ByOptions & { json?: boolean },
): Promise<void> {
  const output = outputOf(context, options);
  const { certificate, descriptor } = await openKeyFile(context, options);
  const { name, purposes, issuedAtMs, expiresAtMs } = certificate;
  const [issued, expires] = [formatInstant(issuedAtMs), formatInstant(expiresAtMs)];
  await output.result(
    {
      event: 'operator',
      operator: name,
      key: options.by,
      vault: descriptor.name,
      purposes,
      issued,
      expires,
    },
    [
      `operator  ${name}`,
      `vault     ${descriptor.name}`,
      `for       ${purposes.join(', ')}`,
      `from      ${issued}`,
      `until     ${expires}`,
    ].join('\n'),
  );
}

async function addOperator(
  context: CommandContext,
  name: string,
  options: AddOptions,
): Promise<void> {
  const output = outputOf(context, options);
  if (!AGENT_NAME.test(name)) {
    throw new UsageError(
      'USAGE_INVALID',
      `"${name}" is no operator's name; use 1 to 64 letters, digits, dots, dashes and underscores, starting with a letter or digit`,
    );
  }
  const purposes = purposesOf(options.purposes);
  const issuedAtMs = Math.floor(context.clock.nowMs());
  const termMs = parseDuration(options.expires, '--expires');
  if (termMs > parseDuration(`${MOST_YEARS}y`))
    throw new UsageError(
      'USAGE_INVALID',
      `--expires is above ${MOST_YEARS} years; a key cannot be called back before its term, give less`,
    );
  if (termMs === 0)
    throw new UsageError('USAGE_INVALID', '--expires is no time at all; give one such as 1y');
  await refuseExisting(context, options.out);
  const kit = await openKitFile(context, options);
  const contents = newOperator(
    kit,
    { name, purposes, issuedAtMs, expiresAtMs: issuedAtMs + termMs },
    context.random,
  );
  const { newPassphraseFile: file } = options;
  const passphrase = await readPassphrase({
    purpose: `new operator key of ${name}`,
    fromFile: file === undefined ? undefined : await readSecretFile(file, 'new passphrase'),
    judge: async (text) =>
      options.weakPassphrase === true ? undefined : refuseWeak(text, kit.descriptor.name),
  });
  const text = sealOperator(contents, passphrase, context.random);
  const [purpose = 'settings'] = purposes;
  // Nobody finds out on the day when it is needed that it does not open.
  await openOperator(text, passphrase, purpose, issuedAtMs);
  await writeFileDurably(context.files, options.out, Buffer.from(text), {
    mode: 0o600,
    createOnly: true,
  });
  const expires = formatInstant(issuedAtMs + termMs);
  await output.result(
    {
      event: 'operator',
      operator: name,
      key: options.out,
      vault: kit.descriptor.name,
      purposes,
      expires,
    },
    `Key of operator ${name} written to ${options.out}: for ${purposes.join(', ')}, until ${expires}.\n` +
      `It is used as --by ${options.out}. Hand it and its passphrase to ${name} by two ways, and keep no copy.`,
  );
}

/** The purposes of a list such as `settings,agents`, in their own order. */
function purposesOf(text: string): readonly OperatorPurpose[] {
  const words = text.split(',').map((word) => word.trim());
  for (const word of words) {
    if (OPERATOR_PURPOSES.some((purpose) => purpose === word)) continue;
    const hint =
      didYouMean(nearest(word, OPERATOR_PURPOSES)) ||
      `; give some of ${OPERATOR_PURPOSES.join(', ')}`;
    throw new UsageError(
      'USAGE_INVALID',
      `--purposes: "${word}" is nothing that a key may be for${hint}`,
    );
  }
  return OPERATOR_PURPOSES.filter((purpose) => words.includes(purpose));
}
