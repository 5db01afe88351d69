import {
  MAX_CHUNK_PLAIN_BYTES,
  MAX_INLINE_REFS,
  MAX_PAGE_DEPTH,
  MAX_PIECE_PLAIN_BYTES,
  MAX_SIGNED_BODY_BYTES,
  MAX_SLAB_PIECES,
  MAX_TEXT_CHARS,
} from '../limits.ts';
import type { StoredItem } from '../session-types.ts';
import type {
  ChainPoint,
  Content,
  Ref,
  References,
  Signed,
  StoredKind,
  TreeHead,
} from '../types.ts';
import { codec } from './codec.ts';
import { checked, type Field, list, object, refusal } from './field.ts';
import { v1 } from './generated.ts';
import {
  bytes,
  chainId,
  choice,
  chunkId,
  commitHash,
  counter,
  hash,
  LINE,
  positive,
  positive32,
  signature,
  text,
  uint,
} from './scalar.ts';

export const signed: Field<Signed> = object<Signed>('Signed', {
  body: bytes(1, MAX_SIGNED_BODY_BYTES),
  signature,
});

export const treeHead: Field<TreeHead> = object<TreeHead>('TreeHead', {
  logEpoch: uint(0, 0xffff_ffff),
  size: counter,
  root: hash,
});

export const chainPoint: Field<ChainPoint> = object<ChainPoint>('ChainPoint', {
  chainId,
  sequence: positive,
  hash: commitHash,
});

const ref = object<Ref>('Ref', { id: chunkId, plainSize: positive, epoch: positive32 });

/**
 * References of one entry or page: `max` of them, page levels up to `maxDepth`. Chunks are bounded,
 * and no page is empty.
 */
export function checkReferences(content: References, label: string, maxDepth: number): void {
  if (content.depth > maxDepth)
    throw refusal(
      'FORMAT_LIMIT',
      label,
      `is ${content.depth} pages deep, more than the ${maxDepth} allowed`,
    );
  if (content.depth > 0 && content.refs.length === 0)
    throw refusal('FORMAT_MALFORMED', label, 'has depth, but no pages');
  for (const { plainSize } of content.refs) {
    if (content.depth === 0 && plainSize > MAX_CHUNK_PLAIN_BYTES) {
      throw refusal(
        'FORMAT_LIMIT',
        label,
        `names a chunk of ${plainSize} bytes, more than the ${MAX_CHUNK_PLAIN_BYTES} allowed`,
      );
    }
  }
}

/**
 * Plaintext bytes that the references stand for, exact; may be more than a safe integer only for
 * hostile input.
 */
export function plainSizeOf(content: References): number {
  return content.refs.reduce((sum, { plainSize }) => sum + plainSize, 0);
}

/** The content of an entry: few references, inline. */
export const inlineContent: Field<Content> = checked(
  object<Content>('Content', {
    depth: uint(0, MAX_PAGE_DEPTH),
    refs: list(ref, 0, MAX_INLINE_REFS),
    piece: uint(0, MAX_SLAB_PIECES),
  }),
  (content, label) => {
    checkReferences(content, label, MAX_PAGE_DEPTH);
    if (content.piece > 0) checkPiece(content, label);
  },
);

/** A piece is a whole small file: nothing of it stands anywhere else. */
function checkPiece({ depth, refs }: Content, label: string): void {
  const [slab] = refs;
  if (depth !== 0 || slab === undefined || refs.length !== 1)
    throw refusal('FORMAT_MALFORMED', label, 'is a piece, but does not name one slab');
  if (slab.plainSize > MAX_PIECE_PLAIN_BYTES)
    throw refusal(
      'FORMAT_LIMIT',
      label,
      `names a piece of ${slab.plainSize} bytes, more than the ${MAX_PIECE_PLAIN_BYTES} allowed`,
    );
}

const storedKind: Field<StoredKind> = choice<StoredKind>({ chunk: 1, page: 2, slab: 3 });

/** One item of a frame's body; `maxSize` is that of the largest sealed chunk. */
export function storedItem(maxSize: number): Field<StoredItem> {
  return object<StoredItem>('StoredItem', {
    id: chunkId,
    kind: storedKind,
    size: uint(1, maxSize),
  });
}

/** A line for a person, possibly empty. */
export const line: Field<string> = text(
  0,
  MAX_TEXT_CHARS,
  LINE,
  'one line without control characters',
);

/** Room for a signed body, its signature and tags. */
const MAX_SIGNED_BYTES = MAX_SIGNED_BODY_BYTES + 128;

/**
 * FORMAT.md, "Signed": the container only; `keys/certificates` and others verify what is inside.
 */
export const { encode: encodeSigned, decode: decodeSigned } = codec<Signed>(
  'Signed',
  v1.Signed,
  signed,
  { maxBytes: MAX_SIGNED_BYTES },
);
