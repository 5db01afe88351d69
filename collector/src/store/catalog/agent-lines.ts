import type { ChainId, ChainPoint, LineageId } from '@aliquot/proto';
import { hex } from '@aliquot/shared/crypto/bytes';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import type { BranchRow, ChainHeadRow, ChainRow } from './catalog-rows.ts';

/** A line of commits that can go on: the trunk's, or that of a branch held apart. */
export interface Line {
  readonly branchId: LineageId;
  readonly row: ChainRow;
}

/**
 * One agent's lines, the newest commit of each of its chain ids, and the branches held apart: a
 * mirror of the catalog's rows.
 */
export class AgentLines {
  readonly trunkId: LineageId;
  readonly #lines = new Map<string, Line>();
  readonly #chains = new Map<string, ChainHeadRow>();
  readonly #histories = new Map<string, BranchRow>();

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

  line(branchId: LineageId): ChainRow | undefined {
    return this.#lines.get(hex(branchId))?.row;
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
  speaksFor(chainId: ChainId, { branchId, row: { head } }: Line): boolean {
    const chain = this.chainHead(chainId);
    return (
      chain !== undefined &&
      equalBytes(head.chainId, chainId) &&
      equalBytes(chain.branchId, branchId)
    );
  }

  chainHead(chainId: ChainId): ChainHeadRow | undefined {
    return this.#chains.get(hex(chainId));
  }

  chainHeads(): ChainHeadRow[] {
    return [...this.#chains.values()];
  }

  history(branchId: LineageId): BranchRow | undefined {
    return this.#histories.get(hex(branchId));
  }

  /** Every history that was ever held apart, decided or not. */
  branchIds(): LineageId[] {
    return [...this.#histories.values()].map(({ branchId }) => branchId);
  }

  /**
   * Histories apart from the trunk that hold commits, oldest first. One without is what a crash
   * left of its beginning.
   */
  apart(): (BranchRow & { readonly line: ChainRow })[] {
    return [...this.#histories.values()]
      .toSorted((a, b) => a.openedLeaf - b.openedLeaf)
      .flatMap((row) => {
        const line = this.line(row.branchId);
        return line === undefined || row.state === 'restored' ? [] : [{ ...row, line }];
      });
  }

  setLine(branchId: LineageId, row: ChainRow): void {
    this.#lines.set(hex(branchId), { branchId, row });
  }

  dropLine(branchId: LineageId): void {
    this.#lines.delete(hex(branchId));
  }

  setChainHead(row: ChainHeadRow): void {
    this.#chains.set(hex(row.head.chainId), row);
  }

  setBranch(row: BranchRow): void {
    this.#histories.set(hex(row.branchId), row);
  }
}
