import { type EntryDraft, encodeEntryDraft } from '@aliquot/proto';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import { QueueError } from '../log/errors.ts';
import { type QueueCapture, requireOpen } from './capture.ts';
import type { PutEnds, PutVersion, WholeSlab } from './intake.ts';

/** A version in its turn, until the record that it shares is appended. */
export interface GatheredVersion extends PutVersion {
  readonly capture: QueueCapture;
  readonly slab: WholeSlab | undefined;
  /** The encoded draft; empty until it may be put. */
  bytes: Uint8Array;
  readonly puts: Puts;
  /** Its place among those that were put with it. */
  readonly at: number;
}

/** Versions that were put with one call, until all of them have ended. */
export class Puts {
  readonly #ends: unknown[];
  readonly #tell: (ends: PutEnds) => void;
  #open: number;

  constructor(count: number, tell: (ends: PutEnds) => void) {
    this.#ends = new Array(count);
    this.#tell = tell;
    this.#open = count;
  }

  /** `error` undefined: the version is put. */
  end(at: number, error: unknown): void {
    this.#ends[at] = error;
    this.#open -= 1;
    if (this.#open === 0) this.#tell(this.#ends);
  }
}

/** The draft of a version that may be put. */
export function encodedDraft({
  capture,
  draft,
  known,
}: Omit<GatheredVersion, 'bytes'>): Uint8Array {
  requireOpen(capture);
  const { path } = draft.list;
  if (
    (known === undefined) !== (draft.kind === 'gone') ||
    (known !== undefined && known.path !== path && !equalBytes(known.path, path))
  ) {
    throw new QueueError('QUEUE_REFUSED', 'a version and what is known of its file do not fit');
  }
  return encodeEntryDraft(draft);
}

/** What the record that versions share says of all of them, and their captures, each once. */
export function sharedHead(versions: readonly GatheredVersion[], activeSegment: number) {
  let holdSegment = activeSegment;
  let itemBytes = 0;
  let capturedAtMs = Number.MAX_SAFE_INTEGER;
  // Files of one slab share a capture.
  const captures = new Set(versions.map(({ capture }) => capture));
  for (const capture of captures) {
    holdSegment = Math.min(holdSegment, capture.holdSegment ?? holdSegment);
    itemBytes += capture.itemBytes;
  }
  for (const { draft } of versions) capturedAtMs = Math.min(capturedAtMs, draft.capturedAtMs);
  return { captures, holdSegment, itemBytes, capturedAtMs };
}

/**
 * The drafts of one record with their encodings. The first piece of a slab brings the slab's key if
 * all pieces stand in the record: so the key opens nothing but what waits with it (I-A3).
 */
export function withSlabKeys(
  versions: readonly GatheredVersion[],
): { readonly draft: EntryDraft; readonly encoded: Uint8Array }[] {
  const pieces = new Map<WholeSlab, Set<number>>();
  for (const { slab, draft } of versions) {
    if (slab === undefined) continue;
    const named = pieces.get(slab) ?? new Set();
    pieces.set(slab, named.add(draft.content.piece));
  }
  return versions.map(({ slab, draft, bytes }) => {
    if (slab === undefined || pieces.get(slab)?.size !== slab.pieces)
      return { draft, encoded: bytes };
    pieces.delete(slab);
    const keyed = { ...draft, slabKey: slab.key };
    return { draft: keyed, encoded: encodeEntryDraft(keyed) };
  });
}
