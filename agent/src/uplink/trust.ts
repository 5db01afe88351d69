import { dirname, join } from 'node:path';
import {
  type CollectorCertificateBody,
  type CollectorId,
  decodeSigned,
  encodeSigned,
  FormatError,
  type Signed,
  type TreeHead,
} from '@aliquot/proto';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import {
  ensureDirectory,
  readFileIfThere,
  removeDurably,
  writeFileDurably,
} from '@aliquot/shared/durable/durable';
import type { FilePort } from '@aliquot/shared/durable/file-port';
import { jsonOf } from '@aliquot/shared/json';
import { CertificateError, verifyCollectorCertificate } from '@aliquot/shared/keys/certificates';
import { LogError } from '@aliquot/shared/log/errors';
import { verifyHead } from '@aliquot/shared/log/receipt';
import { Serial } from '@aliquot/shared/serial';
import { z } from 'zod';
import { AddressBook } from '../identity/addresses.ts';
import type { AgentIdentity } from '../identity/identity.ts';
import { UplinkError } from './errors.ts';

/**
 * The newest head that this agent has verified, as it was signed and by whom: what a rolled-back
 * collector is held against.
 */
export interface VerifiedHead {
  readonly head: TreeHead;
  readonly signed: Signed;
  readonly certificate: Signed;
}

const signed = z.base64().transform((text): Signed => decodeSigned(Buffer.from(text, 'base64')));
const schema = z.strictObject({
  version: z.literal(1),
  collector: signed,
  head: signed.optional(),
  headCertificate: signed.optional(),
});

/**
 * What the last connection found wrong that waiting does not mend; commands that do not connect
 * show it too (P6).
 */
export interface StandingProblem {
  readonly code: string;
  readonly message: string;
  readonly sinceMs: number;
}

/** Notices that come after every `ready` for as long as their cause lasts. */
const standingNotices: ReadonlySet<string> = new Set(['chain-held', 'chain-clone']);

/** Whether a notice of the collector stands as a problem until the collector says it no longer. */
export function isStandingNotice(code: string): boolean {
  return standingNotices.has(code);
}

const problemSchema = z.strictObject({
  code: z.string(),
  message: z.string(),
  sinceMs: z.number(),
});

/** What the uplink has believed, and of whom: kept on the disk. */
export class TrustStore {
  readonly #port: FilePort;
  readonly #path: string;
  readonly #identity: AgentIdentity;
  /** Where the collector is looked for. */
  readonly addresses: AddressBook;
  #collector: CollectorCertificateBody;
  #certificate: Signed | undefined;
  #verified: VerifiedHead | undefined;
  #problem: StandingProblem | undefined;
  readonly #serial = new Serial();

  private constructor(
    port: FilePort,
    path: string,
    identity: AgentIdentity,
    addresses: AddressBook,
  ) {
    this.addresses = addresses;
    this.#port = port;
    this.#path = path;
    this.#identity = identity;
    this.#collector = identity.collector;
  }

  static path(dataDir: string): string {
    return join(dataDir, 'chain', 'trust.json');
  }

  /** Errors: `UPLINK_TRUST_DAMAGED`. */
  static async open(port: FilePort, dataDir: string, identity: AgentIdentity): Promise<TrustStore> {
    const path = TrustStore.path(dataDir);
    await ensureDirectory(port, join(dataDir, 'chain'));
    // What an earlier process wrote or removed here, and died before it was durable, is about to be
    // believed.
    await port.syncDirectory(join(dataDir, 'chain'));
    const store = new TrustStore(
      port,
      path,
      identity,
      await AddressBook.open(port, dataDir, identity),
    );
    const bytes = await readFileIfThere(port, path, 256 * 1024);
    if (bytes !== undefined) store.#load(bytes);
    store.#problem = problemIn(await readFileIfThere(port, store.#problemPath, 64 * 1024));
    return store;
  }

  get lastCollector(): { readonly generation: number; readonly collectorId: CollectorId } {
    return this.#collector;
  }

  get problem(): StandingProblem | undefined {
    return this.#problem;
  }

  /** Keeps a problem until it is cleared with `undefined`. */
  setProblem(problem: StandingProblem | undefined): Promise<void> {
    // One after the other: a problem that comes while another is being cleared must not be taken
    // for the one that goes.
    return this.#serial.run(() => this.#writeProblem(problem));
  }

  async #writeProblem(problem: StandingProblem | undefined): Promise<void> {
    if (problem?.code === this.#problem?.code) return;
    if (problem === undefined) await removeDurably(this.#port, this.#problemPath);
    else
      await writeFileDurably(
        this.#port,
        this.#problemPath,
        Buffer.from(`${JSON.stringify(problem)}\n`),
        { mode: 0o600 },
      );
    this.#problem = problem;
  }

  get #problemPath(): string {
    return join(dirname(this.#path), 'problem.json');
  }

  get verified(): VerifiedHead | undefined {
    return this.#verified;
  }

  /** Makes what was just verified durable. Does nothing when it is known already. */
  async remember(
    collector: CollectorCertificateBody,
    certificate: Signed,
    verified: VerifiedHead | undefined,
  ): Promise<void> {
    const known =
      this.#certificate !== undefined && this.#collector.generation === collector.generation;
    if (known && sameHead(verified?.head, this.#verified?.head)) return;
    const text = (value: Signed): string => Buffer.from(encodeSigned(value)).toString('base64');
    const heads =
      verified === undefined
        ? {}
        : { head: text(verified.signed), headCertificate: text(verified.certificate) };
    const content = JSON.stringify({ version: 1, collector: text(certificate), ...heads });
    await writeFileDurably(this.#port, this.#path, Buffer.from(`${content}\n`), { mode: 0o600 });
    this.#collector = collector;
    this.#certificate = certificate;
    this.#verified = verified;
  }

  #load(bytes: Uint8Array): void {
    const { authorityKey, vaultId } = this.#identity.descriptor;
    try {
      const stored = schema.parse(JSON.parse(Buffer.from(bytes).toString('utf8')));
      const collector = verifyCollectorCertificate(authorityKey, vaultId, stored.collector);
      // A bundle of a later enrolment may know a newer collector than this file.
      if (collector.generation >= this.#collector.generation) this.#collector = collector;
      this.#certificate = stored.collector;
      if (stored.head === undefined || stored.headCertificate === undefined) return;
      const signer = verifyCollectorCertificate(authorityKey, vaultId, stored.headCertificate);
      const { head } = verifyHead(stored.head, signer);
      this.#verified = { head, signed: stored.head, certificate: stored.headCertificate };
    } catch (cause) {
      const damaged =
        cause instanceof z.ZodError || cause instanceof SyntaxError || cause instanceof FormatError;
      if (!damaged && !(cause instanceof CertificateError) && !(cause instanceof LogError))
        throw cause;
      const says = `${this.#path} is damaged, so a rolled-back collector could not be told; run aliquot-agent fsck --repair to go on without it`;
      throw new UplinkError('UPLINK_TRUST_DAMAGED', says, { cause });
    }
  }
}

/** Only a message for people: an unreadable one is treated as missing. */
function problemIn(bytes: Uint8Array | undefined): StandingProblem | undefined {
  return bytes && problemSchema.safeParse(jsonOf(bytes)).data;
}

function sameHead(left: TreeHead | undefined, right: TreeHead | undefined): boolean {
  if (left === undefined || right === undefined) return left === right;
  return (
    left.logEpoch === right.logEpoch &&
    left.size === right.size &&
    equalBytes(left.root, right.root)
  );
}
