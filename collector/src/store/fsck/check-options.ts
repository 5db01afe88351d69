import type { CollectorPorts } from '../collector.ts';
import type { Finding } from '../fsck-finding.ts';

/** What a check is asked for. */
export interface CheckOptions extends CollectorPorts {
  /** Cut torn tails and rebuild catalogs. The collector must be stopped (`FOLDER_IN_USE`). */
  readonly repair?: boolean;
  /** With `repair`: a vault that has no pack left begins without them. */
  readonly packsLost?: boolean;
  /** Called for each finding as it is made. */
  readonly onFinding: (finding: Finding) => void;
  /** Called now and then with the bytes checked so far, and the bytes there are. */
  readonly onProgress?: (doneBytes: number, totalBytes: number) => void;
}

/** What a check came to. */
export interface FsckSummary {
  readonly vaults: number;
  readonly packs: number;
  readonly bytes: number;
  readonly commits: number;
  readonly items: number;
  /** Findings that are not `info`. */
  readonly faults: number;
  readonly repaired: number;
}
