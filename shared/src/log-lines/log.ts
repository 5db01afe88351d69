import { type Logger, pino } from 'pino';
import type { Clock } from '../ports.ts';
import type { LineTarget } from './line-target.ts';
import { LineWriter } from './line-writer.ts';
import { LogTail } from './log-tail.ts';
import { WarningLimit } from './warning-limit.ts';

export interface LogOptions {
  /** `silent`, `fatal`, `error`, `warn`, `info`, `debug` or `trace`. */
  readonly level: string;
  readonly target: LineTarget;
  readonly clock: Clock;
  /**
   * Whether the lines go to systemd's journal: each then begins with its priority, `<4>`, which the
   * journal takes off.
   */
  readonly journal: boolean;
}

/** The log of a service. What is secret, and what was in files, is never passed to it. */
export interface ServiceLog {
  readonly log: Logger;
  /** The last lines, for a diagnosis. */
  tail(): string;
  /** Waits a moment for the last lines. */
  end(): Promise<void>;
}

const WARN = 40;
/** pino's levels as priorities of syslog: critical, error, warning, info, debug. */
const priorityLevels: readonly (readonly [least: number, priority: number])[] = [
  [60, 2],
  [50, 3],
  [WARN, 4],
  [30, 6],
];

/**
 * The one log set-up of both services: a JSON object a line with `level` as a word, `time` in RFC
 * 3339 and `msg`. It never blocks or ends the service (`LineWriter`), and nobody outside can fill a
 * disk with it (`WarningLimit`).
 */
export function openLog({ level, target, clock, journal }: LogOptions): ServiceLog {
  const prefixOf = (value: number) =>
    journal ? `<${priorityLevels.find(([least]) => value >= least)?.[1] ?? 7}>` : '';
  const time = () => new Date(clock.nowMs()).toISOString();
  const lines = new LineWriter(target, (lost) => {
    const msg = 'log lines were lost: what takes them was full or stalled';
    return `${prefixOf(WARN)}${JSON.stringify({ level: 'warn', time: time(), lost, msg })}\n`;
  });
  const tail = new LogTail();
  const limit = new WarningLimit();
  // pino tells a destination that asks for it the level of each line.
  const destination = {
    [Symbol.for('pino.metadata')]: true,
    lastLevel: 0,
    write(line: string) {
      tail.add(line);
      lines.write(prefixOf(this.lastLevel) + line);
    },
  };
  const log = pino(
    {
      level,
      base: null,
      timestamp: () => `,"time":"${time()}"`,
      formatters: { level: (word) => ({ level: word }) },
      hooks: {
        logMethod(args, method, value) {
          for (const over of limit.turn(clock.nowMs()))
            this.warn(over, 'more warnings with this code than are written in a minute');
          const [fields] = args as unknown[];
          const code =
            value === WARN && typeof fields === 'object' && fields !== null && 'code' in fields
              ? fields.code
              : undefined;
          if (typeof code !== 'string' || limit.admits(code)) method.apply(this, args);
        },
      },
    },
    destination,
  );
  return { log, tail: () => tail.text, end: () => lines.end() };
}
