import { asChunkId, type ChunkId, HASH_BYTES, type LineageId, type Ref } from '@aliquot/proto';
import { hex } from '@aliquot/shared/crypto/bytes';
import { MAX_LACKING_BYTES, MAX_LACKING_BYTES_OF_ONE } from '../../limits.ts';

/** A page that was opened, and of which something below is missing. */
export interface UnprovedPage {
  /** Of what its references name: 0 for chunks. */
  readonly depth: number;
  /** Plaintext bytes of all of its references. */
  readonly size: number;
  /** Those of its references below which something was missing. */
  readonly lacking: readonly Pick<Ref, 'id' | 'plainSize'>[];
}

/** What one lineage's pages lacked, by the page's name (`idName`). */
export interface PageMemory {
  get(name: string): UnprovedPage | undefined;
  set(name: string, page: UnprovedPage): void;
  delete(name: string): void;
}

const NUMBER_BYTES = 8;
const HEAD_BYTES = 1 + NUMBER_BYTES;
const ROW_BYTES = HASH_BYTES + NUMBER_BYTES;

/**
 * Which pages of each lineage were opened and lack something, so that a commit that is sent again
 * costs a question for what was missing, and not the opening of all its pages. In memory, as text,
 * which weighs least; what finds no place is opened again.
 */
export class UnprovedPages {
  /** The one that was used last stands last. */
  readonly #lineages = new Map<string, LineagePages>();

  of(lineageId: LineageId): PageMemory {
    const name = hex(lineageId);
    const pages = this.#lineages.get(name) ?? new LineagePages(() => this.#makeRoom());
    this.#lineages.delete(name);
    this.#lineages.set(name, pages);
    return pages;
  }

  #makeRoom(): void {
    let bytes = 0;
    for (const pages of this.#lineages.values()) bytes += pages.bytes;
    for (const [name, pages] of this.#lineages) {
      if (bytes <= MAX_LACKING_BYTES) return;
      bytes -= pages.bytes;
      this.#lineages.delete(name);
    }
  }
}

class LineagePages implements PageMemory {
  bytes = 0;
  readonly #pages = new Map<string, string>();
  readonly #grown: () => void;

  constructor(grown: () => void) {
    this.#grown = grown;
  }

  get(name: string): UnprovedPage | undefined {
    const text = this.#pages.get(name);
    return text === undefined ? undefined : unpacked(Buffer.from(text, 'latin1'));
  }

  set(name: string, page: UnprovedPage): void {
    this.delete(name);
    const text = packed(page).toString('latin1');
    // Whoever fills this keeps what is there: dropping the oldest would help nobody who comes by
    // all of them again.
    if (this.bytes + weightOf(name, text) > MAX_LACKING_BYTES_OF_ONE) return;
    this.#pages.set(name, text);
    this.bytes += weightOf(name, text);
    this.#grown();
  }

  delete(name: string): void {
    const text = this.#pages.get(name);
    if (text === undefined) return;
    this.#pages.delete(name);
    this.bytes -= weightOf(name, text);
  }
}

/** What two texts and their place in a map weigh. */
function weightOf(name: string, text: string): number {
  return name.length + text.length + 64;
}

function packed({ depth, size, lacking }: UnprovedPage): Buffer {
  const bytes = Buffer.alloc(HEAD_BYTES + ROW_BYTES * lacking.length);
  bytes.writeUInt8(depth, 0);
  bytes.writeDoubleBE(size, 1);
  for (const [row, { id, plainSize }] of lacking.entries()) {
    const at = HEAD_BYTES + ROW_BYTES * row;
    bytes.set(id, at);
    bytes.writeDoubleBE(plainSize, at + HASH_BYTES);
  }
  return bytes;
}

function unpacked(bytes: Buffer): UnprovedPage {
  const lacking: { id: ChunkId; plainSize: number }[] = [];
  for (let at = HEAD_BYTES; at < bytes.length; at += ROW_BYTES)
    lacking.push({
      id: asChunkId(new Uint8Array(bytes.buffer, bytes.byteOffset + at, HASH_BYTES)),
      plainSize: bytes.readDoubleBE(at + HASH_BYTES),
    });
  return { depth: bytes.readUInt8(0), size: bytes.readDoubleBE(1), lacking };
}
