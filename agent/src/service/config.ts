import { isAbsolute, normalize, sep } from 'node:path';
import { formatBytes } from '@aliquot/shared/cli/format';
import { globMatcher } from '@aliquot/shared/cli/glob';
import { loopbackPlace } from '@aliquot/shared/cli/loopback';
import { nearest } from '@aliquot/shared/cli/nearest';
import { parseSize, SIZE_FORMS } from '@aliquot/shared/cli/size';
import { z } from 'zod';
import { excludeMistake, takesWhole } from '../capture/excludes.ts';
import { defaultFolderResults } from '../capture/rules.ts';
import { defaultClass } from '../capture/source.ts';
import { courtesyKeys, courtesySchema } from '../courtesy/settings.ts';
import { defaultMaxUnsettledSeconds } from '../watch/patience.ts';
import { isCronExpression } from '../watch/scan-schedule.ts';
import { type Mistake, parseConfigText } from './config-text.ts';

const glob = z
  .string({ error: 'must be a glob such as "*.tmp"' })
  .min(1, 'must not be empty')
  .refine(isGlob, 'is no glob; accepted are * ? [abc] {a,b} and **, as in "*.tmp" or "/data/scratch/**"');

const seconds = (least: number, most: number) =>
  z
    .number({ error: `must be a number of seconds from ${least} to ${most}` })
    .min(least, `must be ${least} or more seconds`)
    .max(most, `must be ${most} seconds at most`);

const folder = z
  .string({ error: 'must be a folder’s absolute path' })
  .refine((path) => isAbsolute(path), 'must be an absolute path, such as /data/instrument or D:\\Data')
  .refine((path) => !/[*?]/.test(path), 'must be one folder, not a pattern: name each folder, or the one above them')
  .transform((path) => {
    const tidy = normalize(path);
    return tidy.length > 1 && /[\\/]$/.test(tidy) && !/^[A-Za-z]:\\$/.test(tidy) ? tidy.slice(0, -1) : tidy;
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

const mebibyte = 1 << 20;

/** How much may wait for the collector. What finds no room stays at its source, and is named in `status` until there is some. */
const queue = z.strictObject(
  {
    maxBytes: size(mebibyte).prefault('50GiB').describe('How much may wait without a receipt, as `50GB` or in bytes.'),
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
      .describe('The share of `maxBytes` that a class may fill, from 0 to 1, so that one instrument leaves room for the others.'),
  },
  { error: 'must be a map of "maxBytes", "minFreeBytes" and "classes"' },
);

const source = z.strictObject(
  {
    path: folder.describe('The watched folder: an absolute path, no pattern, and not inside another source.'),
    class: className.default(defaultClass).describe('Policy class: what later decides how long things are kept.'),
    quietPeriodSeconds: seconds(0, 86_400)
      .default(10)
      .describe('A result counts as finished when nothing about it changed for so long. Choose more than the instrument’s longest pause.'),
    maxUnsettledSeconds: seconds(1, 7 * 86_400)
      .default(defaultMaxUnsettledSeconds)
      .describe('A result that has not come to rest for so long is named a problem. It is captured as it is from ten quiet periods on.'),
    exclude: z
      .array(glob, { error: 'must be a list of globs' })
      .default([])
      .describe('What is left out: patterns such as `*.tmp`, `scratch` or `/data/hplc/old/**` (docs/sources.md).'),
    folderResults: z
      .array(glob, { error: 'must be a list of globs' })
      .default([...defaultFolderResults])
      .describe('Names of folders that are one result each, with all that is in them.'),
  },
  { error: 'must be a map with at least "path"' },
);

const listenError = 'must be an address of this PC alone, with a port, such as "127.0.0.1:9464"';

const maxWorkers = 8;
const workersError = `must be a whole number of threads, from 1 to ${maxWorkers}`;

/** The whole file. Seam: its parts carry the sentences that docs/configuration.md and the JSON schema are made of. */
export const configSchema = z
  .strictObject(
    {
      sources: z
        .array(source, { error: 'must be a list of folders to watch, each with "path"' })
        .min(1, 'must name at least one folder to watch')
        .describe('The folders to watch.'),
      scanIntervalSeconds: seconds(1, 86_400)
        .default(300)
        .describe('Every source is scanned whole this often, because the system’s events alone lose files.'),
      scanSchedule: z
        .string({ error: 'must be a cron expression in quotes, such as "0 3 * * *"' })
        .refine(isCronExpression, 'is no cron expression; accepted are five fields, as in "0 3 * * *" for every day at three')
        .optional()
        .describe(
          'Whole scans at fixed times besides: a cron expression by this PC’s clock, such as `"0 3 * * *"` for every night at three.',
        ),
      queue: queue
        .prefault({})
        .describe('What may wait for the collector. What finds no room stays at its source, and is named until there is some.'),
      workers: z
        .int(workersError)
        .min(1, workersError)
        .max(maxWorkers, workersError)
        .default(1)
        .describe('Threads that read and seal; each takes a core while there is much to do, and some 40 MB.'),
      courtesy: courtesySchema
        .prefault({})
        .describe('How the agent keeps out of the way of the instrument’s own programs (docs/courtesy.md).'),
      metrics: z
        .strictObject(
          {
            listen: z
              .string({ error: listenError })
              .refine((text) => loopbackPlace(text) !== undefined, listenError)
              .describe('An address of this PC alone, with a port: `127.0.0.1:9464`.'),
          },
          { error: 'must be a map with "listen"' },
        )
        .optional()
        .describe('A page for Prometheus on this PC, at `/metrics` (docs/monitoring.md); none unless it is set.'),
      logLevel: z
        .enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace'], { error: 'must be one of fatal, error, warn, info, debug, trace' })
        .default('info')
        .describe('The least level that the log has.'),
    },
    { error: 'must be a map with at least "sources"' },
  )
  .superRefine(({ sources, queue }, context) => {
    const classes = [...new Set([defaultClass, ...sources.map((source) => source.class)])];
    for (const name of Object.keys(queue.classes)) {
      if (classes.includes(name)) continue;
      const message = `is the class of no source; there ${classes.length === 1 ? 'is' : 'are'} ${classes.join(', ')}`;
      context.addIssue({ code: 'custom', path: ['queue', 'classes', name], message });
    }
    for (const [at, { path, exclude }] of sources.entries()) {
      for (const [which, glob] of exclude.entries()) {
        const whole = takesWhole(glob, path) ? `takes the whole of ${path}; take that source out instead` : undefined;
        const message = excludeMistake(glob, [path]) ?? whole;
        if (message !== undefined) context.addIssue({ code: 'custom', path: ['sources', at, 'exclude', which], message });
      }
      const first = sources.findIndex((other) => other.path === path);
      if (first < at)
        context.addIssue({ code: 'custom', path: ['sources', at, 'path'], message: `is watched already by entry ${first + 1}` });
      const outer = sources.findIndex((other, where) => where !== at && isBelow(path, other.path));
      if (outer < 0) continue;
      const message = `lies in ${sources[outer]?.path}, which entry ${outer + 1} watches with all below it; take one of the two out`;
      context.addIssue({ code: 'custom', path: ['sources', at, 'path'], message });
    }
  });

/** The service's configuration, complete and checked. */
export type AgentConfig = z.output<typeof configSchema>;

/**
 * Reads a configuration: text to plain values, then to a typed value; two pure steps. All mistakes are reported at once, each
 * with its line and what is accepted; unknown keys are mistakes, for a misspelt `exclude` must not be ignored.
 */
export function readConfig(text: string): { readonly config: AgentConfig } | { readonly mistakes: readonly Mistake[] } {
  const parsed = parseConfigText(text);
  if ('mistakes' in parsed) return parsed;
  const checked = configSchema.safeParse(parsed.value ?? {});
  if (checked.success) return { config: checked.data };
  const mistakes: Mistake[] = [];
  for (const issue of checked.error.issues) {
    if (issue.code === 'unrecognized_keys') {
      for (const key of issue.keys) mistakes.push({ line: parsed.lineOfKey(issue.path, key), message: unknownKey(key, issue.path) });
    } else mistakes.push({ line: parsed.lineOf(issue.path), message: `${spoken(issue.path)} ${issue.message}` });
  }
  return { mistakes: mistakes.sort((a, b) => a.line - b.line) };
}

function unknownKey(key: string, path: readonly PropertyKey[]): string {
  const accepted = acceptedAt(path);
  const near = nearest(key, accepted);
  const hint = near === undefined ? `accepted are ${accepted.join(', ')}` : `did you mean "${near}"?`;
  return `"${key}" is not a setting; ${hint}`;
}

/** The keys of the map at `path`. */
function acceptedAt(path: readonly PropertyKey[]): readonly string[] {
  if (path.length === 0) return Object.keys(configSchema.shape);
  const named = path.filter((part) => typeof part === 'string').at(-1) ?? '';
  if (named === 'metrics') return ['listen'];
  return courtesyKeys[named] ?? Object.keys(named === 'queue' ? queue.shape : source.shape);
}

/** `sources[1].path`, as people write it. */
function spoken(path: readonly PropertyKey[]): string {
  if (path.length === 0) return 'the configuration';
  return path.map((part, at) => (typeof part === 'number' ? `[${part}]` : `${at === 0 ? '' : '.'}${String(part)}`)).join('');
}

/** Whether a folder lies in another one, by their names. */
function isBelow(path: string, folder: string): boolean {
  const [inner, outer] = process.platform === 'win32' ? [path.toLowerCase(), folder.toLowerCase()] : [path, folder];
  return inner !== outer && inner.startsWith(outer.endsWith(sep) ? outer : outer + sep);
}

function isGlob(text: string): boolean {
  if (text === '') return true; // said by min(1)
  try {
    globMatcher(text);
    return true;
  } catch {
    return false;
  }
}
