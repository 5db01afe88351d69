import { UsageError } from '@aliquot/shared/cli/errors';

/** Fewer are found by trying all, whatever they are. */
export const LEAST_CHARACTERS = 12;
/** The estimator's best grade: more than 10^10 guesses, each of which costs a whole scrypt. */
const STRONG = 4;

/**
 * Refuses a passphrase that is easy to guess, by its length and by the estimator zxcvbn (Wheeler,
 * "zxcvbn: low-budget password strength estimation", USENIX Security 2016). Its dictionaries are
 * loaded here, for only a new kit needs them. Errors: `USAGE_INVALID`.
 */
export async function refuseWeak(passphrase: string, vault: string): Promise<void> {
  const way =
    'take four or more words that do not belong together, or --weak-passphrase where nothing is at stake';
  const characters = [...passphrase].length;
  if (characters < LEAST_CHARACTERS)
    throw new UsageError(
      'USAGE_INVALID',
      `the passphrase has ${characters} characters, fewer than ${LEAST_CHARACTERS}: ${way}`,
    );
  const [{ ZxcvbnFactory }, common, english] = await Promise.all([
    import('@zxcvbn-ts/core'),
    import('@zxcvbn-ts/language-common'),
    import('@zxcvbn-ts/language-en'),
  ]);
  const estimator = new ZxcvbnFactory({
    dictionary: { ...common.dictionary, ...english.dictionary },
    graphs: common.adjacencyGraphs,
  });
  // What stands beside the passphrase is no secret.
  if (estimator.check(passphrase, ['aliquot', ...vault.split(/\s+/)]).score < STRONG)
    throw new UsageError('USAGE_INVALID', `the passphrase is easy to guess: ${way}`);
}
