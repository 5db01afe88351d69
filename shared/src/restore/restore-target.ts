import type { Platform } from '@aliquot/proto';
import type { Soon } from '../durable/soon.ts';
import type { RestoreError } from './errors.ts';
import type { FileSink, Outcome } from './sink.ts';

/** What is written and proved, as it was recorded. */
export interface FileSpec {
  readonly platform: Platform;
  readonly path: Uint8Array;
  readonly mtimeNs: bigint;
  readonly mode: number;
  /** Windows' own, for a restore on Windows. */
  readonly attributes?: number;
  readonly size: number;
  /**
   * Empty: nobody read the whole at once when it was captured (`growing`); then every chunk proves
   * itself, and the size the rest.
   */
  readonly sha256: Uint8Array;
}

/** Where a file goes: below folders that are there, are no links, and may be written to. */
export interface Placed {
  readonly final: Buffer;
  /** This restore made the folder: only it has put anything there. */
  readonly isNew?: boolean;
  /** What a restore that was cut had written of it. Nothing is believed of that. */
  readonly part?: UnfinishedPart | undefined;
}

/** A file under a temporary name that nobody writes any more. */
export interface UnfinishedPart {
  readonly path: Buffer;
  readonly size: number;
}

/** A folder that did not get its recorded mode or time, or a file that did not get its time. */
export interface TargetFailure {
  readonly path: Uint8Array;
  readonly error: RestoreError;
}

/** A folder, and a symbolic link, as they were recorded. */
export type DirectorySpec = Pick<FileSpec, 'platform' | 'path' | 'mtimeNs' | 'mode' | 'attributes'>;
export type LinkSpec = Pick<FileSpec, 'platform' | 'path' | 'mtimeNs'> & {
  readonly linkTarget: Uint8Array;
};

/** Where the bytes of restored files go. */
export interface FileTarget {
  /**
   * Takes a small file of which all bytes are at hand, as `file` and what follows would; done at
   * once where nothing is waited for. The bytes are the caller's again when it returns.
   */
  whole(spec: FileSpec, placed: Placed, bytes: Uint8Array): Soon<Outcome>;
  /** Begins a file, with so many bytes of the part that was found in its place. */
  file(spec: FileSpec, placed: Placed, from?: number): Promise<FileSink>;
  /** Comes last, also after errors. Returns what could not be brought to its recorded state. */
  finish(): Promise<TargetFailure[]>;
}

/**
 * Where restored versions go: a folder tree (`RestoreWriter`), or only a proof that they could be
 * restored.
 */
export interface RestoreTarget extends FileTarget {
  /** Where a file goes; its folder is made when needed. */
  place(spec: FileSpec): Soon<Placed>;
  /** Makes a folder now; its mode and times are set by `finish`. */
  directory(spec: DirectorySpec): Promise<void>;
  /**
   * Makes a symbolic link with the recorded target text, wherever that leads; it is never followed.
   */
  symlink(spec: LinkSpec): Promise<Outcome>;
}
