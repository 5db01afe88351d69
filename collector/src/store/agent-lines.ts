import type { ChainId, ChainPoint, LineageId } from '@aliquot/proto';
import { hex } from '@aliquot/shared/crypto/bytes';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import type { ChainHeadRow, ChainRow, HistoryRow } from './catalog-rows.ts';

/** A line of commits that can go on: the trunk's, or that of a history held apart. */
export interface Line {
  readonly historyId: LineageId;
  readonly row: ChainRow;
}

/**
 * One agent's lines, the newest commit of each of its chain ids, and the histories held apart: a
 * mirror of the catalog's rows.
 */
export class AgentLines {
  readonly trunkId: LineageId;
  readonly #lines = new Map<string, Line>();
  readonly #chains = new Map<string, ChainHeadRow>();
  readonly #histories = new Map<string, HistoryRow>();

  constructor(trunkId: LineageId) {
    this.trunkId = trunkId;
  }

  get trunk(): ChainRow | undefined {
    return this.#lines.get(hex(this.trunkId))?.row;
  }

  /** Every line, the trunk's first. */
  all(): Line[] {
    const trunk = hex(this.trunkId);
    return [...this.#lines]
      .toSorted(([a], [b]) => Number(b === trunk) - Number(a === trunk))
      .map(([, line]) => line);
  }

  line(historyId: LineageId): ChainRow | undefined {
    return this.#lines.get(hex(historyId))?.row;
  }

  /** The line whose newest commit this is. */
  withHead({ chainId, sequence, hash }: ChainPoint): Line | undefined {
    return this.all().find(
      ({ row: { head } }) =>
        head.sequence === sequence &&
        equalBytes(head.chainId, chainId) &&
        equalBytes(head.hash, hash),
    );
  }

  /**
   * Whether a chain's word is a line's own. Two lines that share a chain id since before they
   * parted share one word: only one has it.
   */
  speaksFor(chainId: ChainId, { historyId, row: { head } }: Line): boolean {
    const chain = this.chainHead(chainId);
    return (
      chain !== undefined &&
      equalBytes(head.chainId, chainId) &&
      equalBytes(chain.historyId, historyId)
    );
  }

  chainHead(chainId: ChainId): ChainHeadRow | undefined {
    return this.#chains.get(hex(chainId));
  }

  chainHeads(): ChainHeadRow[] {
    return [...this.#chains.values()];
  }

  history(historyId: LineageId): HistoryRow | undefined {
    return this.#histories.get(hex(historyId));
  }

  /** Every history that was ever held apart, decided or not. */
  historyIds(): LineageId[] {
    return [...this.#histories.values()].map(({ historyId }) => historyId);
  }

  /**
   * Histories apart from the trunk that hold commits, oldest first. One without is what a crash
   * left of its beginning.
   */
  apart(): (HistoryRow & { readonly line: ChainRow })[] {
    return [...this.#histories.values()]
      .toSorted((a, b) => a.openedLeaf - b.openedLeaf)
      .flatMap((row) => {
        const line = this.line(row.historyId);
        return line === undefined || row.state === 'restored' ? [] : [{ ...row, line }];
      });
  }

  setLine(historyId: LineageId, row: ChainRow): void {
    this.#lines.set(hex(historyId), { historyId, row });
  }

  dropLine(historyId: LineageId): void {
    this.#lines.delete(hex(historyId));
  }

  setChainHead(row: ChainHeadRow): void {
    this.#chains.set(hex(row.head.chainId), row);
  }

  setHistory(row: HistoryRow): void {
    this.#histories.set(hex(row.historyId), row);
  }
}
