import { z } from 'zod';
import { absoluteHere, notAbsolute, type Where } from './where.ts';

/*
 * The `courtesy` part of `agent.yaml`. What each setting means for the PC is in docs/courtesy.md.
 */

const dayNames: readonly string[] = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'];

const percent = z
  .number({ error: 'must be a percentage of one core, from 1 to 6400' })
  .min(1, 'must be 1 or more (percent of one core)')
  .max(6400, 'must be 6400 at most (percent of one core)');

const mbit = z
  .number({ error: 'must be a number of megabits per second, from 0.1 to 100000' })
  .min(
    0.1,
    'must be 0.1 or more megabits per second: sending never stops, so that small results become safe',
  )
  .max(100_000, 'must be 100000 megabits per second at most');

const TIME_HINT = 'must be a time of day in quotes, from "00:00" to "24:00"';

/** `HH:MM` as minutes since midnight. */
const timeOfDay = z
  .string({ error: TIME_HINT })
  .regex(/^(?:[01]\d|2[0-3]):[0-5]\d$|^24:00$/, TIME_HINT)
  .transform((text) => Number(text.slice(0, 2)) * 60 + Number(text.slice(3)));

const DAYS_HINT =
  'must be days such as mon-fri, or sat,sun; accepted are mon, tue, wed, thu, fri, sat, sun';

/** `mon-fri`, `sat,sun`, `fri-mon`: the numbers of the days, Sunday is 0. */
const days = z.string({ error: DAYS_HINT }).transform((text, context) => {
  const numbers = daysOf(text);
  if (numbers !== undefined) return numbers;
  context.addIssue({ code: 'custom', message: DAYS_HINT });
  return z.NEVER;
});

function daysOf(text: string): readonly number[] | undefined {
  const numbers = new Set<number>();
  for (const part of text.toLowerCase().split(',')) {
    const [first = '', last = first, ...more] = part.trim().split('-');
    const from = dayNames.indexOf(first.trim());
    const to = dayNames.indexOf(last.trim());
    if (from < 0 || to < 0 || more.length > 0) return undefined;
    for (let day = from; ; day = (day + 1) % 7) {
      numbers.add(day);
      if (day === to) break;
    }
  }
  return [...numbers].sort((a, b) => a - b);
}

const timeWindow = z
  .strictObject(
    {
      from: timeOfDay.describe('When it begins, such as `"08:00"`.'),
      to: timeOfDay.describe(
        'When it ends; a time that is not later than `from` is on the next day.',
      ),
      days: days.prefault('sun-sat').describe('The days on which it begins, such as `mon-fri`.'),
      maxCpuPercent: percent.optional().describe('As above, while it holds.'),
      maxMbitPerSecond: mbit.optional().describe('As above, while it holds.'),
    },
    { error: 'must be a map with "from", "to", and what holds then' },
  )
  .superRefine((window, context) => {
    if (window.maxCpuPercent === undefined && window.maxMbitPerSecond === undefined)
      context.addIssue({
        code: 'custom',
        message: 'must say what holds then: "maxMbitPerSecond", "maxCpuPercent", or both',
      });
    if (window.from === 24 * 60)
      context.addIssue({
        code: 'custom',
        path: ['from'],
        message: 'must be before "24:00"; the next day begins at "00:00"',
      });
  });

const processName = z
  .string({ error: 'must be the name of a program, such as "acquisition.exe"' })
  .min(1, 'must not be empty')
  .refine(
    (name) => !/[\\/]/.test(name),
    'must be the name of a program without its folder, such as "acquisition.exe"',
  );

const flagFile = (where: Where) =>
  z
    .string({ error: 'must be a file’s absolute path' })
    .refine((path) => absoluteHere(path, where), {
      error: ({ input }) => notAbsolute(input, where, '/run/instrument/busy or C:\\Lab\\busy'),
    });

const busySign = (where: Where) =>
  z
    .strictObject(
      {
        process: processName
          .optional()
          .describe('A program of this name runs, such as `MassHunter.exe`.'),
        file: flagFile(where).optional().describe('A file of this absolute path is there.'),
      },
      { error: 'must be a map with "process" or "file"' },
    )
    .superRefine((sign, context) => {
      if ((sign.process === undefined) === (sign.file === undefined))
        context.addIssue({ code: 'custom', message: 'must have either "process" or "file"' });
    });

/**
 * The `courtesy` map of a configuration. Everything has a default: below-normal priority, no
 * limits, no pause.
 */
export const courtesySchema = (where: Where) =>
  z.strictObject(
    {
      priority: z
        .enum(['below-normal', 'normal'], { error: 'must be below-normal or normal' })
        .default('below-normal')
        .describe('`below-normal`: whatever else runs on this PC goes first.'),
      maxCpuPercent: percent
        .optional()
        .describe(
          'Percent of one core, over the whole process and about a second; no limit unless given.',
        ),
      maxMbitPerSecond: mbit
        .optional()
        .describe('What is sent, in 1,000,000 bits a second; no limit unless given.'),
      timeWindows: z
        .array(timeWindow, { error: 'must be a list of windows, each with "from" and "to"' })
        .default([])
        .describe('Other limits at some hours; the first window that holds is the one.'),
      pauseWhile: z
        .array(busySign(where), { error: 'must be a list, each entry with "process" or "file"' })
        .default([])
        .describe('While any of these holds, nothing new is looked for, read or sealed.'),
    },
    {
      error:
        'must be a map of "priority", "maxCpuPercent", "maxMbitPerSecond", "timeWindows" and "pauseWhile"',
    },
  );

export type CourtesySettings = z.output<ReturnType<typeof courtesySchema>>;
export type TimeWindow = CourtesySettings['timeWindows'][number];
export type BusySign = CourtesySettings['pauseWhile'][number];

/**
 * The settings that a configuration may leave out are accepted by these names, for the hint at a
 * misspelt one.
 */
export const courtesyKeys: Readonly<Record<string, readonly string[]>> = {
  courtesy: Object.keys(courtesySchema('anywhere').shape),
  timeWindows: Object.keys(timeWindow.shape),
  pauseWhile: Object.keys(busySign('anywhere').shape),
};
