/** What a finding means for the data. `info` is no fault: it is not counted against the store. */
export type Severity = 'error' | 'warning' | 'info';

export type FindingCode =
  /** A pack file is missing from the row. */
  | 'pack-missing'
  /**
   * The folder of packs is there and empty: no pack is left that the catalog or the history know.
   */
  | 'packs-gone'
  /** The last pack has lost its end: the catalog knows of more. */
  | 'pack-short'
  /** A file of the history is missing. */
  | 'history-missing'
  /** The newest file of the history has lost its end: the catalog knows of more. */
  | 'history-short'
  /** A crash has left a file of the history beside the one that takes, or took, its place. */
  | 'history-half-rewritten'
  /** A file of the history does not end as it should: something was cut off, or put there. */
  | 'history-end'
  /** A pack or history file is another vault's, renamed, doubled, or its header is unreadable. */
  | 'file-foreign'
  /** A closed pack lacks its index or footer, or they do not fit its records. */
  | 'pack-index'
  /** Bytes in a pack are no record although they were durable. */
  | 'record-broken'
  /** A record of a later release. */
  | 'record-unknown'
  /** One byte of a record's header has rotted: what it was follows from the record's content. */
  | 'header-damaged'
  /** A chunk or page whose bytes have rotted, or a slab of which nothing is left. */
  | 'item-damaged'
  /** A piece of a slab whose bytes have rotted; the others prove without it. */
  | 'piece-damaged'
  /** Chunks, pages or slabs that versions need are in no pack. */
  | 'item-missing'
  /** Slabs are there without pieces that versions need. */
  | 'piece-missing'
  /**
   * The last pack ends in a torn record: a crash's trace, cut at the next start. A warning when
   * sound records stand in it.
   */
  | 'torn-tail'
  /** A commit's signature, certificate chain or entries do not verify. */
  | 'commit-invalid'
  /** A commit does not continue its agent's chain. */
  | 'chain-broken'
  /** A commit refers to what no record before it holds, or what its agent had not uploaded. */
  | 'reference-missing'
  /** A receipt, or the head in it, does not fit the log. */
  | 'receipt-invalid'
  /** An audit event does not verify. */
  | 'event-invalid'
  /**
   * A record is sound and cannot be applied: a fault of ours took it in. It is passed over, and
   * what it said is not shown.
   */
  | 'record-unfit'
  /** The check of a vault could not be finished: the finding says what stopped it. */
  | 'check-stopped'
  /** The catalog is not what the packs say. */
  | 'catalog-differs'
  /** The catalog cannot be read. */
  | 'catalog-broken'
  /**
   * The catalog could not be compared: a living process holds it, it is of another release, or is
   * being made.
   */
  | 'catalog-not-compared'
  /**
   * A version whose content is no longer whole: the consequence of an item-damaged or
   * reference-missing.
   */
  | 'version-damaged'
  /** What is kept beside the packs of who ended for good cannot be believed. */
  | 'ended-broken'
  /** Who ended by that file, and who by the history, are not the same. */
  | 'ended-differs'
  /** What is kept beside the packs of holds in force cannot be believed. */
  | 'holds-broken'
  /** The holds in that file, and those in force by the history, are not the same. */
  | 'holds-differ'
  /** A file that keeps an approved purge cannot be believed. */
  | 'purges-broken'
  /** The purges in those files, and those in the history, are not the same. */
  | 'purges-differ'
  /** Packs were removed while a living collector's vault was read, again and again. */
  | 'packs-rewritten'
  /**
   * What is held so that a full disk can be emptied is lent to it: agents are refused meanwhile.
   */
  | 'reserve-lent'
  /** A file of the folder is missing, unreadable or does not fit. */
  | 'folder'
  /** Something was mended. */
  | 'repaired';

export interface Finding {
  readonly code: FindingCode;
  readonly severity: Severity;
  readonly what: string;
  /** File and offset, or agent and file id. */
  readonly where: string;
  readonly remedy: string;
}
