import { dirname, join, resolve } from 'node:path';
import { UsageError } from '@aliquot/shared/cli/errors';
import { formatInstant } from '@aliquot/shared/cli/format';
import { readPassphrase } from '@aliquot/shared/cli/passphrase';
import { hex } from '@aliquot/shared/crypto/bytes';
import { exists, writeFileDurably } from '@aliquot/shared/durable/durable';
import { verifyDescriptor } from '@aliquot/shared/keys/certificates';
import { createKit, sealKit } from '@aliquot/shared/keys/kit';
import type { Command } from 'commander';
import { CommandError } from '../cli/command-error.ts';
import { type CommandContext, outputOf } from '../cli/context.ts';
import { openKitFile, passphraseFile } from './kit-file.ts';
import { registerKitPassphrase } from './kit-passphrase.ts';
import {
  type KitOptions,
  withExample,
  withJson,
  withKit,
  withNotes,
  withPassphraseFile,
} from './options.ts';
import { LEAST_CHARACTERS, refuseWeak } from './weak-passphrase.ts';

interface CreateOptions {
  readonly out: string;
  readonly vault: string;
  readonly blind?: boolean;
  readonly weakPassphrase?: boolean;
  readonly passphraseFile?: string;
  readonly json?: boolean;
}

export function registerKit(program: Command, context: CommandContext): void {
  const kit = program
    .command('kit')
    .description('Make or prove a recovery kit: the keys of a vault, under a passphrase.');
  withExample(kit, 'aliquot kit create --out /media/stick/lab.kit');

  const create = kit
    .command('create')
    .description(
      "Make a vault's keys on this machine. The kit opens everything that the vault will ever hold: keep copies, and the passphrase elsewhere.",
    )
    .requiredOption('--out <FILE>', 'the kit to write; an existing file is never overwritten')
    .option('--vault <NAME>', "the vault's name, as people will see it", 'default')
    .option('--blind', 'the collector shall not be able to open names; listings then need the kit')
    .option(
      '--weak-passphrase',
      'take a passphrase that is easy to guess: only where nothing is at stake',
    );
  withJson(withPassphraseFile(create));
  withNotes(
    create,
    `The passphrase needs ${LEAST_CHARACTERS} characters or more and must not be easy to guess: four words that do not belong together are good.`,
  );
  withExample(create, "aliquot kit create --out /media/stick/lab.kit --vault 'Analytics lab'");
  create.action(async (options: CreateOptions) => createCommand(context, options));

  const verify = kit
    .command('verify')
    .description(
      'Prove that a kit opens and that its keys belong together, and say what it opens.',
    );
  withJson(withKit(verify, 'needed'));
  withExample(verify, 'aliquot kit verify --kit lab.kit');
  verify.action(async (options: KitOptions & { json?: boolean }) =>
    verifyCommand(context, options),
  );
  registerKitPassphrase(kit, context);
}

async function createCommand(context: CommandContext, options: CreateOptions): Promise<void> {
  const output = outputOf(context, options);
  await refuseExisting(context, options.out);
  await refuseWorkTree(context, options.out);
  const contents = createKit(
    { name: options.vault, blind: options.blind === true, nowMs: context.clock.nowMs() },
    context.random,
  );
  const descriptor = verifyDescriptor(contents.descriptor);
  const passphrase = await readPassphrase({
    purpose: `new recovery kit of vault ${options.vault}`,
    fromFile: await passphraseFile(options),
    judge: async (text) =>
      options.weakPassphrase === true ? undefined : refuseWeak(text, options.vault),
  });
  const text = sealKit(contents, passphrase, context.random);
  await writeFileDurably(context.files, options.out, Buffer.from(text), {
    mode: 0o600,
    createOnly: true,
  });
  await output.result(
    {
      event: 'kit',
      kit: options.out,
      vault: descriptor.name,
      vaultId: hex(descriptor.vaultId),
      blind: descriptor.blind,
    },
    `Recovery kit of vault ${descriptor.name} written to ${options.out}.\n` +
      'Without it and its passphrase nobody can read what the vault holds.\nPut copies in two safe places, the passphrase in a third.\n' +
      `Next: aliquot vault add --kit ${options.out} --url URL --token-file FILE`,
  );
}

async function verifyCommand(
  context: CommandContext,
  options: KitOptions & { json?: boolean },
): Promise<void> {
  const output = outputOf(context, options);
  const { descriptor, dedupSecrets } = await openKitFile(context, options);
  const newest = Math.max(...dedupSecrets.map((secret) => secret.epoch));
  const opens = [
    'names and times (catalog key)',
    'content (vault key)',
    'authority to enrol, revoke and certify (authority key)',
  ];
  await output.result(
    {
      event: 'kit',
      ok: true,
      vault: descriptor.name,
      vaultId: hex(descriptor.vaultId),
      blind: descriptor.blind,
      created: formatInstant(descriptor.createdAtMs),
      dedupEpoch: newest,
      authorityKey: hex(descriptor.authorityKey),
    },
    [
      `The kit opens, and its keys belong together.`,
      `vault        ${descriptor.name}${descriptor.blind ? ' (blind)' : ''}`,
      `vault id     ${hex(descriptor.vaultId)}`,
      `created      ${formatInstant(descriptor.createdAtMs)}`,
      `dedup epoch  ${newest}`,
      `opens        ${opens.join('; ')}`,
    ].join('\n'),
  );
}

/**
 * A kit in a work tree of git is one careless commit away from everybody who has the repository,
 * and stays in its history.
 */
async function refuseWorkTree(context: CommandContext, file: string): Promise<void> {
  const { files } = context;
  const beside = dirname(resolve(file));
  // Where it really is: a link may lead into a work tree. A folder that is not there yet is said
  // when the kit is written.
  let folder = (await exists(files, beside)) ? (await files.realpath(beside)).toString() : beside;
  for (;;) {
    if (await exists(files, join(folder, '.git')))
      throw new UsageError(
        'USAGE_INVALID',
        `${file} would lie in ${folder}, a work tree of git; keep kits where nobody commits them by mistake`,
      );
    if (dirname(folder) === folder) return;
    folder = dirname(folder);
  }
}

/**
 * Refuses early, before anybody types a passphrase; writing refuses again, for the time in between.
 */
export async function refuseExisting(context: CommandContext, file: string): Promise<void> {
  if (await exists(context.files, file)) {
    throw new CommandError(
      'COMMAND_EXISTS',
      `${file} is there already and is not overwritten; choose another name, or move it away`,
    );
  }
}
