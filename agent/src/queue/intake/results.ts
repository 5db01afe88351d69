import { createHash, type Hash } from 'node:crypto';
import type {
  Platform,
  ResultEvidence,
  ResultGrade,
  ResultProgress,
  SourceId,
} from '@aliquot/proto';
import { oneCase, systemOf } from '@aliquot/shared/keys/path-case';
import type { ResultMark } from '../log/result-facts.ts';

/*
 * Folder results: what an instrument writes as one. Their members are captured like all files; when
 * they are in the queue, a row says of them all that they are one, and how sure that is.
 *
 * **Durability.** A row is durable with the next `sync` of the queue. Until there is one, also
 * after a crash, the result is owed its row.
 *
 * **Repetition.** A row that would say what the newest one says, of members that are the same, is
 * not put.
 *
 * **Concurrency.** A row is made of the members as they are in its turn; what comes behind it makes
 * it owed again.
 *
 * **Errors.** As the queue's (`queue.ts`).
 */
export interface FolderResults {
  /** Puts a row behind what was captured, unless nothing is new. Never `QUEUE_FULL`. */
  put(judged: JudgedResult): Promise<PutResult>;
  /**
   * Folders whose row is owed, of those whose paths begin so: members have changed since it was
   * written, or it is open. Of what is durable.
   */
  owed(prefix: Uint8Array): AsyncIterable<Uint8Array>;
  /** How a folder stands as a result, of what is durable. */
  standing(root: Uint8Array): Promise<FolderStanding>;
}

/** What the agent's own records say of a folder result. */
export interface FolderStanding {
  /** Its newest row says so; undefined: there is none. */
  readonly row: ResultMark | undefined;
  /** Whether the newest row is receipted. */
  readonly isSafe: boolean;
  /** Its row is owed: it is not whole, or not known to be. */
  readonly isOwed: boolean;
}

/** A folder result as it was judged, after its members were captured. */
export interface JudgedResult {
  readonly root: Uint8Array;
  /** How the paths of what is in it begin. */
  readonly below: Uint8Array;
  readonly platform: Platform;
  readonly sourceId: SourceId;
  readonly class: string;
  readonly judgedAtMs: number;
  readonly grade: ResultGrade;
  /**
   * What was seen of it when it was judged (`SeenMembers`); undefined: it is not complete, or not
   * all of it could be seen and read.
   */
  readonly seen: string | undefined;
  readonly evidence: ResultEvidence;
  /** Whether a known member is left out by the rules of now: it was not looked for. */
  readonly isLeftOut: (path: Uint8Array) => boolean;
}

export interface PutResult {
  readonly progress: ResultProgress;
  /** What was captured is not what was judged, so it has to be judged again. */
  readonly differs: boolean;
  /** A row was put. */
  readonly isNew: boolean;
}

/** What was seen of a folder result, in the order of a walk: a hash over names, sizes and times. */
export class SeenMembers {
  readonly #hash: Hash = createHash('sha256');

  /**
   * `path` in bytes as characters. On Windows its case says nothing: known files keep the one that
   * they had when they were captured.
   */
  add(path: string, kind: string, size: number, mtimeNs: bigint): void {
    // The size of a folder is the file system's business.
    const bytes = kind === 'file' ? size : 0;
    this.#hash.update(`${oneCase(path, systemOf(path))}\0${kind} ${bytes} ${mtimeNs}\n`, 'latin1');
  }

  /** Ends it. */
  digest(): string {
    return this.#hash.digest('hex');
  }
}
