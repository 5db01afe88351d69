import type { RecordReader } from '@aliquot/shared/records/reader';
import { decodeFork, decodeLostReference } from './chain-payloads.ts';
import type { ChainKind } from './formats.ts';
import { decodeLostRecord } from './lost-payloads.ts';
import { NumberSet } from './number-set.ts';
import { decodeCounter, decodeReceiptRecord, decodeSignedRecord } from './payloads.ts';
import { decodeRemains, entriesIn } from './remains.ts';

/** A signed commit without a receipt. */
export interface WaitingCommit {
  /** The oldest segment that it needs. */
  readonly holdSegment: number;
  readonly firstEntry: number;
}

/** What the chain log says, without the index. */
export interface ChainFacts {
  /**
   * Numbers, from the one on that was asked for, that stand in signed commits, that were named as
   * lost, or that no version has.
   */
  readonly settled: NumberSet;
  /** Commits that have no receipt, by their sequence. */
  readonly waiting: Map<number, WaitingCommit>;
}

/** What a chain record says of receipts and of what is behind them. */
type ChainEvent =
  | { readonly type: 'signed'; readonly sequence: number; readonly commit: WaitingCommit }
  | { readonly type: 'receipt' | 'unreceipted' | 'inherited'; readonly sequence: number };

/**
 * Reads the chain log for what proves something of the versions from `oldest` on. The newest files
 * first, and of those before them only what was lost, once no older commit matters. What is damaged
 * says nothing: less is settled then, and more waits.
 */
export async function readChain(
  chain: RecordReader<ChainKind>,
  oldest: number,
): Promise<ChainFacts> {
  const settled = new NumberSet();
  let events: ChainEvent[] = [];
  let isEnough = false;
  for (const { number } of chain.files().toReversed()) {
    const ofFile: ChainEvent[] = [];
    let newestSigned = 0;
    const take = (kind: ChainKind) => (takes(kind, isEnough) ? 'give' : 'skip');
    for await (const item of chain.scanFile(number, { take })) {
      if (item.type !== 'record' || item.payload === undefined) continue;
      const { payload } = item;
      switch (item.header.kind) {
        case 'signed': {
          const { sequence, entries, holdSegment } = decodeSignedRecord(payload);
          for (const entry of entries) settled.add(entry);
          newestSigned = Math.max(newestSigned, entries.at(-1) ?? 0);
          const commit = { holdSegment, firstEntry: entries[0] ?? 0 };
          ofFile.push({ type: 'signed', sequence, commit });
          break;
        }
        case 'remains': {
          const { sequence, numbers, holdSegment } = decodeRemains(payload);
          const entries = entriesIn(numbers);
          for (const entry of entries) settled.add(entry);
          newestSigned = Math.max(newestSigned, entries.at(-1) ?? 0);
          const commit = { holdSegment, firstEntry: entries[0] ?? 0 };
          ofFile.push({ type: 'signed', sequence, commit });
          break;
        }
        case 'receipt':
          ofFile.push({ type: 'receipt', sequence: decodeReceiptRecord(payload).sequence });
          break;
        case 'unreceipted':
          ofFile.push({ type: 'unreceipted', sequence: decodeCounter(payload) });
          break;
        case 'forked': {
          const { inherited, from } = decodeFork(payload);
          if (inherited) ofFile.push({ type: 'inherited', sequence: from.sequence });
          break;
        }
        case 'lost':
          for (const { entry } of decodeLostRecord(payload).entries) settled.add(entry);
          break;
        case 'referenceLost':
          settled.add(decodeLostReference(payload).entry);
          break;
        default:
      }
    }
    if (isEnough) continue;
    events = [...ofFile, ...events];
    // The files before speak of older versions, and of commits that have their receipts.
    isEnough =
      newestSigned > 0 && newestSigned < oldest && receiptedIn(events) >= firstOf(events) - 1;
  }
  const receipted = receiptedIn(events);
  const waiting = new Map<number, WaitingCommit>();
  for (const event of events)
    if (event.type === 'signed' && event.sequence > receipted)
      waiting.set(event.sequence, event.commit);
  return { settled, waiting };
}

function takes(kind: ChainKind, onlyLost: boolean): boolean {
  switch (kind) {
    case 'lost':
    case 'referenceLost':
      return true;
    case 'signed':
    case 'remains':
    case 'receipt':
    case 'unreceipted':
    case 'forked':
      return !onlyLost;
    default:
      return false;
  }
}

/** Commits up to here have a receipt, or nobody here can send them; at least so many. */
function receiptedIn(events: readonly ChainEvent[]): number {
  let receipted = 0;
  let inherited = 0;
  for (const { type, sequence } of events) {
    if (type === 'receipt') receipted = Math.max(receipted, sequence);
    else if (type === 'unreceipted') receipted = Math.min(receipted, sequence);
    else if (type === 'inherited') inherited = sequence;
  }
  return Math.max(receipted, inherited);
}

/** The oldest commit of these. */
function firstOf(events: readonly ChainEvent[]): number {
  let first = Number.MAX_SAFE_INTEGER;
  for (const { type, sequence } of events) if (type === 'signed') first = Math.min(first, sequence);
  return first;
}
