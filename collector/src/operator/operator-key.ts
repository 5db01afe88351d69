import {
  MAX_KEY_FILE_BYTES,
  type OperatorCertificateBody,
  type OperatorPurpose,
  type Signed,
  type VaultDescriptorBody,
} from '@aliquot/proto';
import { UsageError } from '@aliquot/shared/cli/errors';
import { NeededOption } from '@aliquot/shared/cli/help';
import { readPassphrase } from '@aliquot/shared/cli/passphrase';
import type { BoxKey } from '@aliquot/shared/crypto/box';
import type { SigningKey } from '@aliquot/shared/crypto/sign';
import { policyKeyFor } from '@aliquot/shared/keys/derive';
import {
  inspectOperator,
  type OpenOperator,
  OperatorError,
  openOperator,
} from '@aliquot/shared/keys/operator';
import type { Command } from 'commander';
import type { CommandContext } from '../cli/context.ts';
import { readText } from '../cli/read-text.ts';
import { kitPath, openKitFile, passphraseFile } from './kit-file.ts';
import { type KitOptions, withPassphraseFile } from './options.ts';

/** Options of every command that an operator may sign with a key of their own. */
export interface ByOptions extends KitOptions {
  readonly by?: string;
}

const MAX_KEY_TEXT_BYTES = 2 * MAX_KEY_FILE_BYTES;

/** Adds `--by KEYFILE`, for what only operators sign. */
export function withKeyFile(command: Command): Command {
  return withPassphraseFile(withBy(command));
}

/** The same beside the kit, with whose option the one for passphrases comes. */
export function withBy(command: Command): Command {
  return command.addOption(
    new NeededOption('--by <KEYFILE>', "the operator's key file (`aliquot operator add`)"),
  );
}

/** Adds `--kit KIT` and `--by KEYFILE`, of which one is needed. */
export function withKitOrKeyFile(command: Command): Command {
  return withPassphraseFile(
    command
      .option('--kit <FILE>', 'recovery kit of the vault (or ALIQUOT_KIT)')
      .option(
        '--by <KEYFILE>',
        "an operator's key file instead of the kit (`aliquot operator add`)",
      ),
  );
}

/**
 * Opens the key file that `--by` names, for one purpose unless it is only looked at; asks for its
 * passphrase. Errors: `OPERATOR_…`, `USAGE_MISSING`.
 */
export async function openKeyFile(
  context: CommandContext,
  options: ByOptions,
  purpose?: OperatorPurpose,
): Promise<OpenOperator> {
  const { by } = options;
  if (by === undefined)
    throw new UsageError(
      'USAGE_MISSING',
      'no operator key; give --by KEYFILE (`aliquot operator add NAME --kit KIT --out KEYFILE` makes one)',
    );
  const text = await readText(context, by, "operator's key file", MAX_KEY_TEXT_BYTES);
  try {
    // A file that is no key is named before anybody types a passphrase.
    const { vaultName } = inspectOperator(text);
    const passphrase = await readPassphrase({
      purpose: `operator key ${by} of vault ${vaultName}`,
      fromFile: await passphraseFile(options),
    });
    return await openOperator(text, passphrase, purpose, context.clock.nowMs());
  } catch (error) {
    throw error instanceof OperatorError
      ? new OperatorError(error.code, `${by}: ${error.message}`, { cause: error })
      : error;
  }
}

/** Who signs a statement: the vault's authority, or an operator whom it certified. */
export interface Signer {
  readonly descriptor: VaultDescriptorBody;
  readonly key: SigningKey;
  /** Goes beside what an operator signs; undefined for the authority. */
  readonly certificate: Signed | undefined;
  /** Whom that certificate is of. */
  readonly operator: OperatorCertificateBody | undefined;
  /** Opens the vault's policy; undefined for an operator of other purposes. */
  readonly policyKey: BoxKey | undefined;
  /** From which path keys are derived; only the kit has it. */
  readonly pathSecret: Uint8Array | undefined;
}

/** Anyone who signs: by the key file of `--by` where it is given, else by the kit. */
export async function openSigner(
  context: CommandContext,
  options: ByOptions,
  purpose: OperatorPurpose,
): Promise<Signer> {
  if (options.by !== undefined) {
    const opened = await openKeyFile(context, options, purpose);
    const { descriptor, signKey, signedCertificate, policyKey } = opened;
    return {
      descriptor,
      key: signKey,
      certificate: signedCertificate,
      operator: opened.certificate,
      policyKey,
      pathSecret: undefined,
    };
  }
  if (kitPath(context, options) === undefined)
    throw new UsageError(
      'USAGE_MISSING',
      'nobody to sign; give --by KEYFILE (an operator’s key), or --kit FILE (or set ALIQUOT_KIT)',
    );
  const { descriptor, authority, pathSecret } = await openKitFile(context, options);
  return {
    descriptor,
    key: authority,
    certificate: undefined,
    operator: undefined,
    policyKey: policyKeyFor(pathSecret, descriptor.vaultId),
    pathSecret,
  };
}
