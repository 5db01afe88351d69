/** The one place where shared code reads the environment; each program has its own file for its own variables. */

/** Whether unexpected errors should show where they come from (`ALIQUOT_DEBUG=1`). */
export function debugWanted(): boolean {
  return process.env['ALIQUOT_DEBUG'] === '1';
}

/** The kit's passphrase, when the environment carries it (`ALIQUOT_PASSPHRASE`); an empty one counts as none. */
export function passphraseFromEnvironment(): string | undefined {
  return process.env['ALIQUOT_PASSPHRASE'] || undefined;
}
