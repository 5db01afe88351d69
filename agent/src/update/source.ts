import { UpdateError } from './errors.ts';

/** A part of a file as the collector answered; `size` is the whole file's, 0 when it has none. */
export interface ReleaseData {
  readonly size: number;
  readonly bytes: Uint8Array;
}

/**
 * Asks the collector for a part of a file of a release. Rejects with an `UplinkError` when there is
 * no session, or it ends.
 */
export type FetchPart = (name: string, offset: number) => Promise<ReleaseData>;

/** Files of releases, as the collector has them: nothing of it is believed. */
export class ReleaseSource {
  readonly #fetch: FetchPart;
  readonly #beforePart: () => Promise<void>;

  /** `beforePart` holds each part back as courtesy wants. */
  constructor(fetch: FetchPart, beforePart: () => Promise<void> = async () => undefined) {
    this.#fetch = fetch;
    this.#beforePart = beforePart;
  }

  /**
   * A small file; undefined when the collector does not have it. Throws `UPDATE_ALTERED` when it is
   * larger than it may be.
   */
  async whole(name: string, maxBytes: number): Promise<Buffer | undefined> {
    const parts: Uint8Array[] = [];
    for await (const part of this.parts(name, 0, maxBytes)) parts.push(part);
    return parts.length === 0 ? undefined : Buffer.concat(parts);
  }

  /**
   * The bytes of a file from `offset` on, as they come; none when the collector does not have it.
   */
  async *parts(name: string, offset: number, maxBytes: number): AsyncGenerator<Uint8Array> {
    let at = offset;
    for (let size = Number.POSITIVE_INFINITY; at < size; ) {
      await this.#beforePart();
      const answer = await this.#fetch(name, at);
      const changed = size !== Number.POSITIVE_INFINITY && answer.size !== size;
      if (answer.size === 0) return;
      // A part that brings nothing would be asked for again for ever.
      if (answer.size > maxBytes || changed || (answer.bytes.length === 0 && at < answer.size))
        throw new UpdateError(
          'UPDATE_ALTERED',
          `the collector's file ${name} is not as long as the vendor's list says`,
        );
      size = answer.size;
      at += answer.bytes.length;
      if (answer.bytes.length > 0) yield answer.bytes;
    }
  }
}
