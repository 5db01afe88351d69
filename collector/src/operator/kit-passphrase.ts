import { readPassphrase } from '@aliquot/shared/cli/passphrase';
import { writeFileDurably } from '@aliquot/shared/durable/durable';
import { openKit, sealKit } from '@aliquot/shared/keys/kit';
import type { Command } from 'commander';
import { type CommandContext, outputOf } from '../cli/context.ts';
import { kitPath, openKitFile } from './kit-file.ts';
import {
  type KitOptions,
  readSecretFile,
  withExample,
  withJson,
  withKit,
  withNotes,
} from './options.ts';
import { LEAST_CHARACTERS, refuseWeak } from './weak-passphrase.ts';

interface PassphraseOptions extends KitOptions {
  readonly newPassphraseFile?: string;
  readonly weakPassphrase?: boolean;
  readonly json?: boolean;
}

/** `kit passphrase`: the same keys under another passphrase, in the same file. */
export function registerKitPassphrase(kit: Command, context: CommandContext): void {
  const passphrase = kit
    .command('passphrase')
    .description('Put a kit under another passphrase: the same keys, in the same file.')
    .option('--new-passphrase-file <FILE>', 'the new passphrase, instead of the question')
    .option(
      '--weak-passphrase',
      'take a passphrase that is easy to guess: only where nothing is at stake',
    );
  withJson(withKit(passphrase, 'needed'));
  withNotes(
    passphrase,
    `Other copies of the kit keep the old passphrase: change each of them, or replace it with a copy of this file, and destroy printed ones. Who had a copy and its old passphrase still has the keys. A new passphrase needs ${LEAST_CHARACTERS} characters or more.`,
  );
  withExample(passphrase, 'aliquot kit passphrase --kit lab.kit');
  passphrase.action(async (options: PassphraseOptions) => changePassphrase(context, options));
}

async function changePassphrase(
  context: CommandContext,
  options: PassphraseOptions,
): Promise<void> {
  const output = outputOf(context, options);
  const { contents, descriptor } = await openKitFile(context, options);
  const { newPassphraseFile: file } = options;
  const fromFile = file === undefined ? undefined : await readSecretFile(file, 'new passphrase');
  const passphrase = await readPassphrase({
    purpose: `recovery kit of vault ${descriptor.name}, the new one`,
    fromFile,
    // The old one stands there.
    fromEnvironment: undefined,
    judge: async (text) =>
      options.weakPassphrase === true ? undefined : refuseWeak(text, descriptor.name),
  });
  const text = sealKit(contents, passphrase, context.random);
  // The only copy may be about to be replaced: it is proved to open before.
  await openKit(text, passphrase);
  const path = kitPath(context, options) ?? '';
  // Where it really is: a link to the kit must not become another copy of it.
  const target = await context.files.realpath(path);
  await writeFileDurably(context.files, target, Buffer.from(text), { mode: 0o600 });
  await output.result(
    { event: 'kit', kit: path, vault: descriptor.name, passphraseChanged: true },
    `${path} opens with the new passphrase now.\nOther copies of the kit still open with the old one: replace them.`,
  );
}
