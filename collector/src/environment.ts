/** The one place where `aliquot` reads its environment (the passphrase is read by shared/cli, where it is asked for). */
export interface Environment {
  /** `ALIQUOT_URL`: stands for `--url`. */
  readonly url: string | undefined;
  /** `ALIQUOT_TOKEN`: the operator's token itself, instead of `--token-file`. */
  readonly token: string | undefined;
  /** `ALIQUOT_KIT`: stands for `--kit`. */
  readonly kit: string | undefined;
  /** `ALIQUOT_TLS_CA`: stands for `--tls-ca`. */
  readonly tlsCa: string | undefined;
  /** `ALIQUOT_LOG_LEVEL`: how much `aliquot serve` logs; info unless set. */
  readonly logLevel: string | undefined;
}

/** Empty variables count as unset. */
export function readEnvironment(): Environment {
  return {
    url: process.env['ALIQUOT_URL'] || undefined,
    token: process.env['ALIQUOT_TOKEN'] || undefined,
    kit: process.env['ALIQUOT_KIT'] || undefined,
    tlsCa: process.env['ALIQUOT_TLS_CA'] || undefined,
    logLevel: process.env['ALIQUOT_LOG_LEVEL'] || undefined,
  };
}
