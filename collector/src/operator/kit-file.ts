import { MAX_KEY_FILE_BYTES } from '@aliquot/proto';
import { UsageError } from '@aliquot/shared/cli/errors';
import { readPassphrase } from '@aliquot/shared/cli/passphrase';
import { inspectKit, KitError, type OpenKit, openKit } from '@aliquot/shared/keys/kit';
import type { CommandContext } from '../cli/context.ts';
import { readText } from '../cli/read-text.ts';
import { type KitOptions, readSecretFile } from './options.ts';

/** The armour adds a third and a few lines of text. */
const MAX_KIT_TEXT_BYTES = 2 * MAX_KEY_FILE_BYTES;

/** Where the kit is, from option or environment. */
export function kitPath(context: CommandContext, options: KitOptions): string | undefined {
  return options.kit ?? context.environment.kit;
}

/** The text of the kit that the command needs; names the way when none was given. */
async function kitText(
  context: CommandContext,
  options: KitOptions,
): Promise<{ path: string; text: string }> {
  const path = kitPath(context, options);
  if (path === undefined) {
    throw new UsageError(
      'USAGE_MISSING',
      'no recovery kit; give --kit FILE or set ALIQUOT_KIT (`aliquot kit create` made it)',
    );
  }
  return { path, text: await readText(context, path, 'recovery kit', MAX_KIT_TEXT_BYTES) };
}

/** Asks for the passphrase (or takes ALIQUOT_PASSPHRASE) and opens the kit. */
export async function openKitFile(context: CommandContext, options: KitOptions): Promise<OpenKit> {
  const { path, text } = await kitText(context, options);
  return naming(path, async () => {
    // A file that is no kit is named before anybody types a passphrase.
    const { vaultName } = inspectKit(text);
    const fromFile = await passphraseFile(options);
    return openKit(
      text,
      await readPassphrase({ purpose: `recovery kit of vault ${vaultName}`, fromFile }),
    );
  });
}

/** The passphrase in the file that was named for it, if one was. */
export async function passphraseFile({
  passphraseFile: file,
}: KitOptions): Promise<string | undefined> {
  return file === undefined ? undefined : readSecretFile(file, 'passphrase');
}

/** Which vault the kit is of, without its passphrase. */
export async function inspectKitFile(
  context: CommandContext,
  options: KitOptions,
): Promise<ReturnType<typeof inspectKit>> {
  const { path, text } = await kitText(context, options);
  return naming(path, async () => inspectKit(text));
}

/** Anyone who keeps several copies must hear which of them it was. */
async function naming<T>(path: string, run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    throw error instanceof KitError
      ? new KitError(error.code, `${path}: ${error.message}`, { cause: error })
      : error;
  }
}
