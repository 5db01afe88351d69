import { type BytePath, pathBytes } from '../capture/paths.ts';

/** A running subscription to one folder's events. */
export interface Subscription {
  close(): Promise<void>;
}

/**
 * Where native file events come from. Events are hints only: they may come late, twice, or not at all, and names that are not
 * UTF-8 come mangled. What is true is found by looking.
 */
export interface EventPort {
  /** Calls `onPaths` with absolute paths that changed, `onError` when events may have been lost. */
  subscribe(
    root: BytePath,
    leaveOut: readonly BytePath[],
    onPaths: (paths: BytePath[]) => void,
    onError: (error: Error) => void,
  ): Promise<Subscription>;
}

/** Events of the operating system, by @parcel/watcher (inotify, FSEvents, ReadDirectoryChangesW). */
export const nativeEvents: EventPort = {
  async subscribe(root, leaveOut, onPaths, onError) {
    // Loaded here: a native module that only the service needs.
    const { default: watcher } = await import('@parcel/watcher');
    const subscription = await watcher.subscribe(
      pathBytes(root).toString('utf8'),
      (error, events) => {
        if (error !== null) onError(error);
        else onPaths(events.map(({ path }) => Buffer.from(path, 'utf8').toString('latin1')));
      },
      { ignore: leaveOut.map((path) => pathBytes(path).toString('utf8')) },
    );
    return { close: () => subscription.unsubscribe() };
  },
};
