/**
 * The one place where shared code reads the environment; each program has its own file for its own
 * variables.
 */

/** Whether unexpected errors should show where they come from (`ALIQUOT_DEBUG=1`). */
export function debugWanted(): boolean {
  return process.env['ALIQUOT_DEBUG'] === '1';
}

/** Which stream is the journal's, when systemd started this (`JOURNAL_STREAM`). */
export function journalStream(): string | undefined {
  return process.env['JOURNAL_STREAM'] || undefined;
}

/**
 * The kit's passphrase, when the environment carries it (`ALIQUOT_PASSPHRASE`); an empty one counts
 * as none.
 */
export function passphraseFromEnvironment(): string | undefined {
  return process.env['ALIQUOT_PASSPHRASE'] || undefined;
}
