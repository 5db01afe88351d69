import { type KnownRow, packKnown, unpackKnown } from '../queue/log/known-block.ts';
import type { SourcePort } from '../source/source-port.ts';
import type { Found } from '../source/walk.ts';
import type { ComparedStep, Comparison, Difference, FoundItem } from './comparison.ts';
import { type CompareRequest, comparisonOf } from './host.ts';
import { type PackedFound, packFound, unpackFound } from './packing.ts';

/*
 * A comparison across two threads: known blocks go to the worker, steps of differences come back.
 */

/** Blocks one behind the other, and where each ends: one buffer instead of one for each. */
export interface PackedBlocks {
  readonly bytes: ArrayBuffer;
  readonly ends: readonly number[];
  /** There are no more. */
  readonly ended: boolean;
}

/** From the main thread. */
export type ToComparison =
  | { readonly type: 'compare'; readonly id: number; readonly request: CompareRequest }
  /** Asks for the next step. */
  | { readonly type: 'compareOn'; readonly id: number; readonly blocks: PackedBlocks | undefined }
  | { readonly type: 'endCompare'; readonly id: number };

/** From the worker: answers `compare` and `compareOn`. */
export interface FromComparison {
  readonly type: 'compared';
  readonly id: number;
  readonly step: PackedStep;
}

/** A step as it crosses. */
export interface PackedStep {
  /** What was found, in order; of absent ones nothing. */
  readonly found: PackedFound;
  /** What was known, of all that was known, in order. */
  readonly known: readonly Uint8Array[];
  /** Of each difference what it is: a number of `types`. */
  readonly types: Uint8Array;
  /** Of the last difference, if it counts what is alike. */
  readonly alike: { readonly counts: Counts; readonly folders: PackedFound } | undefined;
  readonly wants: boolean;
  readonly last: boolean;
}

interface Counts {
  readonly files: number;
  readonly bytes: number;
  readonly links: number;
}

const types = ['new', 'changed', 'same', 'absent', 'found', 'alike'] as const;
type Type = (typeof types)[number];

/** Puts blocks together, at most about so many bytes. */
const GIVEN_BYTES = 128 * 1024;

/** The comparisons of a worker. */
export class Comparisons {
  readonly #port: SourcePort;
  readonly #open = new Map<number, Comparison>();

  constructor(port: SourcePort) {
    this.#port = port;
  }

  /**
   * Takes a message; the answer is to be sent, with what it hands over. Throws for a comparison
   * that it does not know: the worker that had it has died, and nobody may take that for its end.
   */
  handle(
    message: ToComparison,
  ): { readonly answer: FromComparison; readonly transfer: ArrayBuffer[] } | undefined {
    const { id } = message;
    if (message.type === 'endCompare') {
      this.#open.delete(id);
      return undefined;
    }
    let comparison = this.#open.get(id);
    if (message.type === 'compare') {
      comparison = comparisonOf(this.#port, message.request);
      this.#open.set(id, comparison);
    } else if (message.blocks !== undefined)
      comparison?.give(blocksIn(message.blocks), message.blocks.ended);
    if (comparison === undefined) throw new Error(`no comparison ${id} goes on here`);
    const step = comparison.step();
    if (step.last) this.#open.delete(id);
    const packed = packStep(step);
    const transfer = [packed.found.numbers, packed.types.buffer as ArrayBuffer];
    if (packed.alike !== undefined) transfer.push(packed.alike.folders.numbers);
    for (const { buffer } of packed.known) transfer.push(buffer as ArrayBuffer);
    return { answer: { type: 'compared', id, step: packed }, transfer };
  }
}

/** Gathers blocks to be handed over, one portion ahead of the question for it. */
export class BlockFeed {
  readonly #blocks: AsyncIterator<Uint8Array>;
  #next: Promise<PackedBlocks>;

  constructor(blocks: AsyncIterable<Uint8Array>) {
    this.#blocks = blocks[Symbol.asyncIterator]();
    this.#next = this.#ahead();
  }

  async take(): Promise<PackedBlocks> {
    const taken = await this.#next;
    if (!taken.ended) this.#next = this.#ahead();
    return taken;
  }

  async close(): Promise<void> {
    await this.#next.catch(() => undefined); // whoever closes has an error already, or needs none
    await this.#blocks.return?.();
  }

  #ahead(): Promise<PackedBlocks> {
    const next = this.#gather();
    next.catch(() => undefined); // thrown to whoever takes it
    return next;
  }

  async #gather(): Promise<PackedBlocks> {
    const parts: Uint8Array[] = [];
    let length = 0;
    let ended = false;
    while (length < GIVEN_BYTES && !ended) {
      const step = await this.#blocks.next();
      if (step.done === true) ended = true;
      else {
        parts.push(step.value);
        length += step.value.length;
      }
    }
    const bytes = new Uint8Array(length);
    const ends: number[] = [];
    let at = 0;
    for (const part of parts) {
      bytes.set(part, at);
      at += part.length;
      ends.push(at);
    }
    return { bytes: bytes.buffer, ends, ended };
  }
}

function blocksIn({ bytes, ends }: PackedBlocks): Uint8Array[] {
  return ends.map((end, at) => {
    const from = ends[at - 1] ?? 0;
    return new Uint8Array(bytes, from, end - from);
  });
}

function packStep({ differences, wants, last }: ComparedStep): PackedStep {
  const found: Found[] = [];
  const known: KnownRow[] = [];
  const kinds: number[] = [];
  let alike: PackedStep['alike'];
  for (const one of differences) {
    kinds.push(types.indexOf(typeOf(one)));
    if (one.type === 'alike') {
      const { folders, ...counts } = one.alike;
      alike = { counts, folders: packFound(folders) };
    } else if (one.type === 'absent') known.push(one.known);
    else if (one.type === 'put' || one.type === 'same') {
      found.push(one.item);
      if (one.known !== undefined) known.push(one.known);
    } else found.push(one);
  }
  return {
    found: packFound(found),
    known: packKnown(known).map(({ bytes }) => bytes),
    types: Uint8Array.from(kinds),
    alike,
    wants,
    last,
  };
}

/** The differences of a step that crossed. */
export function unpackStep(step: PackedStep): readonly Difference[] {
  const found = unpackFound(step.found)[Symbol.iterator]();
  const known = step.known.flatMap((block) => unpackKnown(block))[Symbol.iterator]();
  const item = () => found.next().value as FoundItem;
  const row = () => known.next().value as KnownRow;
  return Array.from(step.types, (type): Difference => {
    switch (types[type]) {
      case 'new':
        return { type: 'put', item: item(), known: undefined };
      case 'changed':
        return { type: 'put', item: item(), known: row() };
      case 'same':
        return { type: 'same', item: item(), known: row() };
      case 'absent': {
        const absent = row();
        return { type: 'absent', path: Buffer.from(absent.path).toString('latin1'), known: absent };
      }
      case 'alike': {
        const { counts, folders } = step.alike as NonNullable<PackedStep['alike']>;
        return {
          type: 'alike',
          alike: { ...counts, folders: unpackFound(folders).filter(isItem) },
        };
      }
      default:
        return found.next().value as Exclude<Found, { type: 'item' }>;
    }
  });
}

function typeOf(one: Difference): Type {
  if (one.type === 'put') return one.known === undefined ? 'new' : 'changed';
  return one.type === 'problem' || one.type === 'excluded' ? 'found' : one.type;
}

const isItem = (found: Found): found is FoundItem => found.type === 'item';
