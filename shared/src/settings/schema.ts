import { validate } from 'node-cron';
import { z } from 'zod';
import { UsageError } from '../cli/errors.ts';
import { formatBytes } from '../cli/format.ts';
import { globMatcher } from '../cli/glob.ts';
import { loopbackPlace } from '../cli/loopback.ts';
import { parseSize, SIZE_FORMS } from '../cli/size.ts';
import { courtesySchema } from './courtesy.ts';
import { DEFAULT_CLASS, DEFAULT_MAX_UNSETTLED_SECONDS, defaultFolderResults } from './defaults.ts';
import { excludeMistake, isIn, takesWhole } from './globs.ts';
import { BACKSLASH_HINT } from './text.ts';
import { updateSchema, updateSectionSchema } from './update.ts';
import { absoluteHere, notAbsolute, pathsOf, type Where } from './where.ts';

/*
 * What an agent is told to do: `agent.yaml`, and what central IT sets in the policy file. One
 * schema for both, so that both are checked by the same code and in the same words. Nothing in it
 * can start a program.
 */

/** `"C:\temp"` in double quotes has a tab in it, which no folder of an instrument has. */
const isPlain = (text: string) => !/\p{Cc}/u.test(text);
const NOT_PLAIN = `holds a control character: ${BACKSLASH_HINT}`;

const glob = z
  .string({ error: 'must be a glob such as "*.tmp"' })
  .min(1, 'must not be empty')
  .refine(isPlain, NOT_PLAIN)
  .refine(
    isGlob,
    'is no glob; accepted are * ? [abc] {a,b} and **, as in "*.tmp" or "/data/scratch/**"',
  );

const seconds = (least: number, most: number) =>
  z
    .number({ error: `must be a number of seconds from ${least} to ${most}` })
    .min(least, `must be ${least} or more seconds`)
    .max(most, `must be ${most} seconds at most`);

const folder = (where: Where) =>
  z
    .string({ error: 'must be a folder’s absolute path' })
    .refine(isPlain, NOT_PLAIN)
    .refine((path) => absoluteHere(path, where), {
      error: ({ input }) => notAbsolute(input, where, '/data/instrument or D:\\Data'),
    })
    .refine(
      (path) => !/[*?]/.test(path),
      'must be one folder, not a pattern: name each folder, or the one above them',
    )
    .transform((path) => {
      const tidy = pathsOf(path, where).normalize(path);
      return tidy.length > 1 && /[\\/]$/.test(tidy) && !/^[A-Za-z]:\\$/.test(tidy)
        ? tidy.slice(0, -1)
        : tidy;
    });

const className = z
  .string({ error: 'must be a name of 1 to 64 of a-z, 0-9 and -' })
  .regex(/^[a-z0-9-]{1,64}$/, 'must be a name of 1 to 64 of a-z, 0-9 and -');

/** A number of bytes, plain or as people say it (`50GB`). */
const size = (least: number) => {
  const error = `must be ${formatBytes(least)} or more: ${SIZE_FORMS}`;
  return z.union([z.int(), z.string()], { error }).transform((given, context) => {
    const bytes = typeof given === 'string' ? parseSize(given) : given;
    if (bytes !== undefined && bytes >= least) return bytes;
    context.addIssue({ code: 'custom', message: error });
    return z.NEVER;
  });
};

const MEBIBYTE = 1 << 20;

/**
 * How much may wait for the collector. What finds no room stays at its source, and is named in
 * `status` until there is some.
 */
const queue = z.strictObject(
  {
    maxBytes: size(MEBIBYTE)
      .prefault('50GiB')
      .describe('How much may wait without a receipt, as `50GB` or in bytes.'),
    minFreeBytes: size(0).prefault('1GiB').describe('What the queue leaves free on its disk.'),
    classes: z
      .record(
        className,
        z
          .number({ error: 'must be a share from 0 to 1' })
          .min(0, 'must be a share from 0 to 1')
          .max(1, 'must be a share from 0 to 1, such as 0.5 for half of maxBytes'),
        { error: 'must be a map from a class to a share, as in "raw: 0.5"' },
      )
      .default({})
      .describe(
        'The share of `maxBytes` that a class may fill, from 0 to 1, so that one instrument leaves room for the others.',
      ),
  },
  { error: 'must be a map of "maxBytes", "minFreeBytes" and "classes"' },
);

const source = (where: Where) =>
  z.strictObject(
    {
      path: folder(where).describe(
        'The watched folder: an absolute path, no pattern, and not inside another source.',
      ),
      class: className
        .default(DEFAULT_CLASS)
        .describe('Policy class: what later decides how long things are kept.'),
      quietPeriodSeconds: seconds(0, 86_400)
        .default(10)
        .describe(
          'A result counts as finished when nothing about it changed for so long. Choose more than the instrument’s longest pause.',
        ),
      maxUnsettledSeconds: seconds(1, 7 * 86_400)
        .default(DEFAULT_MAX_UNSETTLED_SECONDS)
        .describe(
          'A result that has not come to rest for so long is named a problem. It is captured as it is from ten quiet periods on.',
        ),
      exclude: z
        .array(glob, { error: 'must be a list of globs' })
        .default([])
        .describe(
          'What is left out: patterns such as `*.tmp`, `scratch` or `/data/hplc/old/**` (docs/sources.md).',
        ),
      folderResults: z
        .array(glob, { error: 'must be a list of globs' })
        .default([...defaultFolderResults])
        .describe('Names of folders that are one result each, with all that is in them.'),
    },
    { error: 'must be a map with at least "path"' },
  );

const LISTEN_ERROR = 'must be an address of this PC alone, with a port, such as "127.0.0.1:9464"';

const MAX_WORKERS = 8;
const WORKERS_ERROR = `must be a whole number of threads, from 1 to ${MAX_WORKERS}`;

const common = (where: Where) => ({
  scanIntervalSeconds: seconds(1, 86_400)
    .default(300)
    .describe(
      'Every source is scanned whole this often, because the system’s events alone lose files.',
    ),
  scanSchedule: z
    .string({ error: 'must be a cron expression in quotes, such as "0 3 * * *"' })
    .refine(
      validate,
      'is no cron expression; accepted are five fields, as in "0 3 * * *" for every day at three',
    )
    .optional()
    .describe(
      'Whole scans at fixed times besides: a cron expression by this PC’s clock, such as `"0 3 * * *"` for every night at three.',
    ),
  queue: queue
    .prefault({})
    .describe(
      'What may wait for the collector. What finds no room stays at its source, and is named until there is some.',
    ),
  workers: z
    .int(WORKERS_ERROR)
    .min(1, WORKERS_ERROR)
    .max(MAX_WORKERS, WORKERS_ERROR)
    .optional()
    .describe(
      'Threads that read and seal; each takes a core while there is much to do, and some 40 MB. Unless given: one, and a second for large files while a core is idle (docs/courtesy.md).',
    ),
  courtesy: courtesySchema(where)
    .prefault({})
    .describe(
      'How the agent keeps out of the way of the instrument’s own programs (docs/courtesy.md).',
    ),
  metrics: z
    .strictObject(
      {
        listen: z
          .string({ error: LISTEN_ERROR })
          .refine((text) => loopbackPlace(text) !== undefined, LISTEN_ERROR)
          .describe('An address of this PC alone, with a port: `127.0.0.1:9464`.'),
      },
      { error: 'must be a map with "listen"' },
    )
    .optional()
    .describe(
      'A page for Prometheus on this PC, at `/metrics` (docs/monitoring.md); none unless it is set.',
    ),
  logLevel: z
    .enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace'], {
      error: 'must be one of fatal, error, warn, info, debug, trace',
    })
    .default('info')
    .describe('The least level that the log has.'),
});

/**
 * What a PC may add to the desk's settings: two lists grow, everything else counts where the desk
 * says nothing.
 */
const localWords = [
  'sources',
  'pauseWhile',
  'scanIntervalSeconds',
  'scanSchedule',
  'queue',
  'workers',
  'courtesy',
  'metrics',
  'logLevel',
] as const;
export type LocalWord = (typeof localWords)[number];

/**
 * What a PC may add unless the desk says otherwise: more that is watched, and more reasons to hold
 * still.
 */
const defaultLocal: readonly LocalWord[] = ['sources', 'pauseWhile'];

const deskOnly = {
  update: updateSchema
    .optional()
    .describe('Which release the PC runs, and when it may change over.'),
  local: z
    .array(z.enum(localWords, { error: `must be of ${localWords.join(', ')}` }), {
      error: `must be a list of ${localWords.join(', ')}`,
    })
    .default([...defaultLocal])
    .describe('What `agent.yaml` of the PC may add; it can never take anything away.'),
};

const sourcesError = { error: 'must be a list of folders to watch, each with "path"' };
const SOURCES_HELP = 'The folders to watch.';

/**
 * `agent.yaml` alone: at least one folder. Seam: its parts carry the sentences that
 * docs/configuration.md is made of.
 */
export const wholeSchema = (where: Where) =>
  z
    .strictObject(
      {
        sources: z
          .array(source(where), sourcesError)
          .min(1, 'must name at least one folder to watch')
          .describe(SOURCES_HELP),
        ...common(where),
      },
      { error: 'must be a map with at least "sources"' },
    )
    .superRefine((value, context) => crossCheck(value, context, where));

/** What `agent.yaml` says beside the desk's settings. */
const besideSchema = (where: Where) =>
  z
    .strictObject(
      {
        sources: z.array(source(where), sourcesError).default([]).describe(SOURCES_HELP),
        ...common(where),
      },
      { error: 'must be a map of settings' },
    )
    .superRefine((value, context) => crossCheck(value, context, where));

/** One section of the policy: rules between settings hold only of all sections together. */
const sectionSchema = (where: Where) =>
  z.strictObject(
    {
      sources: z.array(source(where), sourcesError).default([]).describe(SOURCES_HELP),
      ...common(where),
      ...deskOnly,
      update: updateSectionSchema.optional(),
    },
    { error: 'must be a map of settings' },
  );

/** What central IT sets. */
const deskSchema = (where: Where) =>
  z
    .strictObject(
      {
        sources: z.array(source(where), sourcesError).default([]).describe(SOURCES_HELP),
        ...common(where),
        ...deskOnly,
      },
      { error: 'must be a map of settings' },
    )
    .superRefine((value, context) => crossCheck(value, context, where));

/**
 * `whole`: `agent.yaml` alone. `beside`: what it adds to the desk's settings. `section`: a part of
 * those. `desk`: those.
 */
export type SettingsKind = 'whole' | 'beside' | 'section' | 'desk';

/** The schema for one kind of settings, and one system. */
export const schemaOf = {
  whole: wholeSchema,
  beside: besideSchema,
  section: sectionSchema,
  desk: deskSchema,
} as const;

/** The keys of maps inside of settings, for the hint at a misspelt one. */
export const innerKeys: Readonly<Record<'queue' | 'source' | 'update', readonly string[]>> = {
  queue: Object.keys(queue.shape),
  source: Object.keys(source('anywhere').shape),
  update: Object.keys(updateSectionSchema.shape),
};

interface Crossing {
  readonly sources: readonly {
    readonly path: string;
    readonly class: string;
    readonly exclude: readonly string[];
  }[];
  readonly queue: { readonly classes: Readonly<Record<string, number>> };
}

/** The rules between settings. */
function crossCheck({ sources, queue }: Crossing, context: z.RefinementCtx, where: Where): void {
  const classes = [...new Set([DEFAULT_CLASS, ...sources.map((source) => source.class)])];
  for (const name of Object.keys(queue.classes)) {
    if (classes.includes(name)) continue;
    const message = `is the class of no source; there ${classes.length === 1 ? 'is' : 'are'} ${classes.join(', ')}`;
    context.addIssue({ code: 'custom', path: ['queue', 'classes', name], message });
  }
  for (const [at, { path, exclude }] of sources.entries()) {
    const windows = pathsOf(path, where).sep === '\\';
    for (const [which, glob] of exclude.entries()) {
      const whole = takesWhole(glob, path, windows)
        ? `takes the whole of ${path}; take that source out instead`
        : undefined;
      const message = excludeMistake(glob, [path], windows) ?? whole;
      if (message !== undefined)
        context.addIssue({ code: 'custom', path: ['sources', at, 'exclude', which], message });
    }
    const isOne = (other: string): boolean =>
      isIn(path, other, windows) && isIn(other, path, windows);
    const first = sources.findIndex((other) => isOne(other.path));
    if (first < at)
      context.addIssue({
        code: 'custom',
        path: ['sources', at, 'path'],
        message: `is watched already by entry ${first + 1}`,
      });
    const outer = sources.findIndex(
      (other, which) => which !== at && !isOne(other.path) && isIn(path, other.path, windows),
    );
    if (outer < 0) continue;
    const message = `lies in ${sources[outer]?.path}, which entry ${outer + 1} watches with all below it; take one of the two out`;
    context.addIssue({ code: 'custom', path: ['sources', at, 'path'], message });
  }
}

/** The service's configuration, complete and checked. */
export type AgentConfig = z.output<ReturnType<typeof wholeSchema>>;

/** The desk’s settings of one PC, complete and checked. */
export type DeskSettings = z.output<ReturnType<typeof deskSchema>>;

function isGlob(text: string): boolean {
  if (text === '') return true; // said by min(1)
  try {
    globMatcher(text);
    return true;
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    return false;
  }
}
