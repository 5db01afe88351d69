import { resolve } from 'node:path';
import { createSecureContext } from 'node:tls';
import { AliquotError } from '@aliquot/proto';
import { UsageError } from '@aliquot/shared/cli/errors';
import type { Clock, Timers } from '@aliquot/shared/ports';
import type { Logger } from 'pino';
import type { CommandContext } from '../cli/context.ts';
import { readText } from '../cli/read-text.ts';
import type { TlsFiles } from '../rest/server.ts';

const MAX_PEM_BYTES = 256 * 1024;
/** Two small files are read this often, so a renewed certificate is served within that time. */
const LOOK_MS = 60_000;

/** Where certificate and key are, as the options of `serve` name them. */
export interface CertificateFiles {
  readonly tlsCert?: string;
  readonly tlsKey?: string;
}

/** What is wrong with the files, and since when. */
export interface UnusableFiles {
  readonly message: string;
  readonly sinceMs: number;
}

/**
 * Certificate and key that are served, and whatever takes their place in the files: a renewal needs
 * no restart.
 */
export class ServedCertificate {
  readonly #read: () => Promise<TlsFiles>;
  readonly #clock: Clock;
  #files: TlsFiles;
  #unusable: UnusableFiles | undefined;

  private constructor(read: () => Promise<TlsFiles>, clock: Clock, files: TlsFiles) {
    this.#read = read;
    this.#clock = clock;
    this.#files = files;
  }

  /** Reads the files; undefined where none are named. Errors: `USAGE_MISSING`, `USAGE_INVALID`. */
  static async open(
    context: CommandContext,
    { tlsCert, tlsKey }: CertificateFiles,
  ): Promise<ServedCertificate | undefined> {
    if (tlsCert === undefined && tlsKey === undefined) return undefined;
    if (tlsCert === undefined || tlsKey === undefined)
      throw new UsageError('USAGE_MISSING', '--tls-cert and --tls-key go together; give both');
    // The server leaves the folder that it was started in.
    const [cert, key] = [resolve(tlsCert), resolve(tlsKey)];
    const read = () => pairIn(context, cert, key);
    return new ServedCertificate(read, context.clock, await read());
  }

  /** What is served now. */
  get files(): TlsFiles {
    return this.#files;
  }

  /** Why the certificate in the files is not served now; undefined while it is. */
  get unusable(): UnusableFiles | undefined {
    return this.#unusable;
  }

  /**
   * Looks at the files from now on, and has the server take what replaced them; connections that
   * stand keep theirs. What cannot be used is named, in the log once, and the pair before stays.
   * The answer ends it.
   */
  watch(
    server: { setSecureContext(files: TlsFiles): void },
    timers: Timers,
    log: Logger,
  ): () => void {
    let cancel = (): void => undefined;
    let ended = false;
    const look = async (): Promise<void> => {
      const answer = await this.#renewed();
      if (ended) return;
      if (typeof answer === 'string') {
        if (answer !== this.#unusable?.message)
          log.error(
            { error: answer },
            'the TLS files cannot be used; the certificate before is served',
          );
        this.#unusable = {
          message: answer,
          sinceMs: this.#unusable?.sinceMs ?? this.#clock.nowMs(),
        };
      } else {
        this.#unusable = undefined;
        if (answer !== undefined) {
          server.setSecureContext(answer);
          this.#files = answer;
          log.info('the TLS certificate was replaced');
        }
      }
      cancel = timers.after(LOOK_MS, () => void look());
    };
    cancel = timers.after(LOOK_MS, () => void look());
    return () => {
      ended = true;
      cancel();
    };
  }

  /**
   * What stands in the files instead, or why that cannot be used; undefined while nothing has
   * changed.
   */
  async #renewed(): Promise<TlsFiles | string | undefined> {
    try {
      const files = await this.#read();
      return files.cert.equals(this.#files.cert) && files.key.equals(this.#files.key)
        ? undefined
        : files;
    } catch (error) {
      if (!(error instanceof AliquotError)) throw error;
      return error.message;
    }
  }
}

async function pairIn(context: CommandContext, tlsCert: string, tlsKey: string): Promise<TlsFiles> {
  const cert = await readText(context, tlsCert, 'TLS certificate', MAX_PEM_BYTES);
  const key = await readText(context, tlsKey, 'TLS key', MAX_PEM_BYTES);
  try {
    createSecureContext({ cert, key });
  } catch (cause) {
    throw new UsageError(
      'USAGE_INVALID',
      `the TLS certificate ${tlsCert} and key ${tlsKey} cannot be used together; check that both are PEM and belong together`,
      { cause },
    );
  }
  return { cert: Buffer.from(cert), key: Buffer.from(key) };
}
