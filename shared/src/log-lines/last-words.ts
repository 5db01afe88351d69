import type { Logger } from 'pino';

/**
 * From here on an error that nobody foresaw ends the process with exit code 1, after one line of
 * log with its stack. Service managers start it again; what was acknowledged is on the disk. The
 * answer takes the listener away.
 */
export function endOnUnexpected(log: Logger, end: () => Promise<void>): () => void {
  const onError = (error: unknown): void => {
    const [says, stack] =
      error instanceof Error
        ? [`${error.name}: ${error.message}`, error.stack]
        : [String(error), undefined];
    log.fatal(
      { code: 'UNEXPECTED', error: says, stack },
      'unexpected: this process ends, to be started again; report it with these lines',
    );
    void end().finally(() => process.exit(1));
  };
  process.on('uncaughtException', onError);
  return () => void process.off('uncaughtException', onError);
}
