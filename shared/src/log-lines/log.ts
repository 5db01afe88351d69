import { type Logger, pino } from 'pino';
import { plainJson } from '../cli/terminal.ts';
import type { Clock } from '../ports.ts';
import { type LineKind, LineLimit } from './line-limit.ts';
import type { LineTarget } from './line-target.ts';
import { LineWriter } from './line-writer.ts';
import { LogTail } from './log-tail.ts';

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
const INFO = 30;
/** pino's levels as priorities of syslog: critical, error, warning, info, debug. */
const priorityLevels: readonly (readonly [least: number, priority: number])[] = [
  [60, 2],
  [50, 3],
  [WARN, 4],
  [INFO, 6],
];

/**
 * The one log set-up of both services: a JSON object a line with `level` as a word, `time` in RFC
 * 3339 and `msg`. It never blocks or ends the service (`LineWriter`), and nobody outside can fill a
 * disk with it (`LineLimit`).
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
  const limit = new LineLimit();
  // pino tells a destination that asks for it the level of each line.
  const destination = {
    [Symbol.for('pino.metadata')]: true,
    lastLevel: 0,
    write(text: string) {
      const line = plainJson(text);
      tail.add(line);
      lines.write(prefixOf(this.lastLevel) + line);
    },
  };
  const leftOut = 'more lines of this kind than are written in a minute';
  const log = pino(
    {
      level,
      base: null,
      timestamp: () => `,"time":"${time()}"`,
      formatters: { level: (word) => ({ level: word }) },
      hooks: {
        logMethod(args, method, value) {
          for (const over of limit.turn(clock.nowMs())) log.warn(over, leftOut);
          const kind = kindOf(value, args, this.bindings());
          if (kind === undefined || limit.admits(kind)) method.apply(this, args);
        },
      },
    },
    destination,
  );
  return {
    log,
    tail: () => tail.text,
    end: () => {
      for (const over of limit.over()) log.warn(over, leftOut);
      return lines.end();
    },
  };
}

/**
 * The kind of a line that others can cause, of which only so many are written; undefined for all
 * else. Others cause what names an agent, what has a code, and what is said of each request; each
 * agent has its own lines, so that one cannot hide those of another.
 */
function kindOf(value: number, args: readonly unknown[], bound: object): LineKind | undefined {
  const [first, second] = args;
  const fields = typeof first === 'object' && first !== null ? first : {};
  const { code, agent, vault } = { ...bound, ...fields } as Partial<Record<string, unknown>>;
  const said = typeof first === 'string' ? first : String(second ?? '');
  const hasCode = typeof code === 'string';
  if (typeof agent !== 'string' && !hasCode && value >= INFO) return undefined;
  return {
    of: pino.levels.labels[value] ?? '',
    ...(hasCode ? { code } : { said }),
    ...(typeof vault === 'string' ? { vault } : {}),
    ...(typeof agent === 'string' ? { agent } : {}),
  };
}
