import { join } from 'node:path';
import {
  type CollectorCertificateBody,
  decodeSigned,
  encodeSigned,
  FormatError,
  type Signed,
  type TreeHead,
} from '@aliquot/proto';
import { hex } from '@aliquot/shared/crypto/bytes';
import {
  ensureDirectory,
  readFileIfThere,
  writeFileDurably,
} from '@aliquot/shared/durable/durable';
import type { FilePort } from '@aliquot/shared/durable/file-port';
import { CertificateError, verifyCollectorCertificate } from '@aliquot/shared/keys/certificates';
import type { Authority } from '@aliquot/shared/log/continuation';
import { LogError } from '@aliquot/shared/log/errors';
import { verifyHead } from '@aliquot/shared/log/receipt';
import { z } from 'zod';
import { fromBase64, toBase64 } from '../api/base64.ts';
import { WitnessError } from './witness-error.ts';

/** A head as the collector signed it, and when this operator was shown it. */
export interface SeenHead {
  readonly head: TreeHead;
  readonly signed: Signed;
  readonly seenAtMs: number;
}

/** What is remembered of one vault at one collector. */
export interface Witness {
  readonly newest: SeenHead;
  /**
   * A head that the collector signed as well and that contradicts `newest`: together they prove
   * that it showed two logs.
   */
  readonly contradicted: SeenHead | undefined;
}

const seenSchema = z.strictObject({
  /** Milliseconds since 1970. */
  seenAtMs: z.number(),
  /** For people; what counts is what was signed. */
  logEpoch: z.number(),
  size: z.number(),
  root: z.string(),
  signedHead: z.base64(),
});
const schema = z.strictObject({
  version: z.literal(1),
  vaultId: z.string(),
  collectorId: z.string(),
  certificate: z.base64(),
  newest: seenSchema,
  contradicted: seenSchema.optional(),
});

const MAX_BYTES = 256 * 1024;

/**
 * The operator's durable memory of one vault's log at one collector: plain JSON of what the
 * collector signed. Nothing in it is secret.
 */
export class WitnessBook {
  readonly path: string;
  readonly #port: FilePort;
  readonly #folder: string;
  readonly #authority: Authority;

  constructor(
    port: FilePort,
    stateFolder: string,
    authority: Authority,
    collector: CollectorCertificateBody,
  ) {
    this.#port = port;
    this.#folder = join(stateFolder, 'witness');
    this.#authority = authority;
    this.path = join(this.#folder, `${hex(authority.vaultId)}-${hex(collector.collectorId)}.json`);
  }

  /**
   * Undefined when nothing was seen yet. Throws `WITNESS_DAMAGED`; what the file system says goes
   * on.
   */
  async read(): Promise<Witness | undefined> {
    const bytes = await readFileIfThere(this.#port, this.path, MAX_BYTES);
    if (bytes === undefined) return undefined;
    const { authorityKey, vaultId } = this.#authority;
    try {
      const stored = schema.parse(JSON.parse(Buffer.from(bytes).toString('utf8')));
      const signer = verifyCollectorCertificate(
        authorityKey,
        vaultId,
        decodeSigned(fromBase64(stored.certificate)),
      );
      const seen = ({ signedHead, seenAtMs }: z.infer<typeof seenSchema>): SeenHead => {
        const signed = decodeSigned(fromBase64(signedHead));
        return { head: verifyHead(signed, signer).head, signed, seenAtMs };
      };
      return {
        newest: seen(stored.newest),
        contradicted: stored.contradicted && seen(stored.contradicted),
      };
    } catch (cause) {
      const damaged =
        cause instanceof z.ZodError || cause instanceof SyntaxError || cause instanceof FormatError;
      if (!damaged && !(cause instanceof CertificateError) && !(cause instanceof LogError))
        throw cause;
      const says = `${this.path} is damaged, so it cannot be told whether the collector's log was put back or changed`;
      throw new WitnessError('WITNESS_DAMAGED', `${says}; move the file away to begin anew`, {
        cause,
      });
    }
  }

  async write(
    { newest, contradicted }: Witness,
    certificate: Signed,
    collector: CollectorCertificateBody,
  ): Promise<void> {
    const plain = ({ head, signed, seenAtMs }: SeenHead) => ({
      seenAtMs,
      logEpoch: head.logEpoch,
      size: head.size,
      root: hex(head.root),
      signedHead: toBase64(encodeSigned(signed)),
    });
    const content = {
      version: 1,
      vaultId: hex(collector.vaultId),
      collectorId: hex(collector.collectorId),
      certificate: toBase64(encodeSigned(certificate)),
      newest: plain(newest),
      ...(contradicted === undefined ? {} : { contradicted: plain(contradicted) }),
    };
    await ensureDirectory(this.#port, this.#folder);
    await writeFileDurably(
      this.#port,
      this.path,
      Buffer.from(`${JSON.stringify(content, undefined, 2)}\n`),
      { mode: 0o600 },
    );
  }
}
