import type { BytePath } from '../source/paths.ts';
import type { SourceStat } from '../source/source-port.ts';

/** What is watched. */
export interface WatchedPlace {
  readonly root: BytePath;
  /** Whether a path is left out, by itself or by a folder above it. */
  excluded(path: BytePath): boolean;
}

/** Who hears of events. Nothing here is called before `subscribe` returned. */
export interface EventSink {
  /** Paths that changed, absolute; each may be a file or a folder, there or gone. */
  paths(paths: Iterable<BytePath>): void;
  /** A folder whose events come only from now on: what is in it has to be looked at. */
  opened(folder: BytePath): void;
  /** Events may have been lost: everything has to be looked through. */
  lost(because: string): void;
  /**
   * Only scans find what changes in a part of the place, or (with undefined) in no part any more.
   */
  limited(because: string | undefined): void;
  /** No events come any more; the subscription is to be closed. */
  ended(because: string): void;
}

/** A running subscription to the events of one place. */
export interface Subscription {
  /**
   * A look came by this folder. Whether its events come only from now on, so that it has to be
   * looked at once more.
   */
  met(folder: BytePath, stat: SourceStat): boolean;
  /** A whole scan begins. */
  scanBegins(): void;
  /** It came by everything that is there: a folder that it did not meet is forgotten. */
  scanEnded(): void;
  close(): void;
}

/**
 * Where native file events come from. Events are hints only: they may come late, twice, or not at
 * all. What is true is found by looking. No memory depends on the number of files.
 */
export interface EventPort {
  /** Errors: the system's, when there can be no events at all. */
  subscribe(place: WatchedPlace, sink: EventSink): Subscription;
}
