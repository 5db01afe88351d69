import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { type Verb, verbs } from './samples.ts';
import { type SystemName, systemNames } from './systems/system.ts';

/** What `npm run bench` can be told. */
export interface BenchOptions {
  readonly runs: number;
  readonly systems: readonly SystemName[];
  readonly verbs: readonly Verb[];
  /** 1: the full size. */
  readonly scale: number;
  /** Where generated data is kept from run to run. */
  readonly data: string;
  /** Where repositories and restored files are; removed at the end. */
  readonly work: string;
  /** Where files are restored to; undefined: beside the repositories. */
  readonly restored: string | undefined;
  /** Where the figures go as JSON; undefined: nowhere. */
  readonly json: string | undefined;
  readonly limits: boolean;
  /** Aliquot's agent like any other program instead of below all of them. */
  readonly normalPriority: boolean;
  readonly keep: boolean;
  readonly help: boolean;
}

export const help = `Usage: npm run bench -- [options]

Measures Aliquot beside other backup systems on this machine: the same files, one system after the other in each run,
a fresh repository each time, medians of the runs. What is not installed is skipped and said. Linux only.

Options:
  --runs N         how often everything is done (default: 3)
  --systems A,B    of ${systemNames.join(', ')} (default: all)
  --verbs A,B      what is measured (default: all); a verb does what it needs before it:
                     first, unchanged, unchanged-service, changed, second, restore, one, check, scrub  2.16 GB of mixed files
                     corpus                                                                            real files in ../shared/corpus, where they are
                     corpus-folders                                                                    each of its folders with more than 50 files of up to 64 KiB, alone
                     small, small-unchanged, small-unchanged-service,
                     small-restore, small-check, small-second                                          100,000 files of 1 to 8 KiB
                     small-kept                                                                        where the bytes and rows of those lie, on both sides (ours only)
                     growing, growing-service                                                          1 GiB, five times 10 MiB appended
  --scale S        above 0 up to 1: less data for a quick look, such as 0.05 (default: 1)
  --data DIR       where generated data is kept for the next time: 4.4 GB at scale 1 (default: ${dataFolder()})
  --work DIR       where the repositories are made, and removed: up to 6 GB at scale 1 (default: ${repositoryFolder()})
  --restored DIR   where files are restored to, and removed: a memory disk leaves the disk out (default: in --work)
  --json FILE      write every figure there
  --normal-priority  our agent works as any other program: on a busy machine it would otherwise step aside, and the times say nothing
  --no-limits      leave out what the machine itself can do
  --keep           leave the repositories of the last run where they are
  --help           print this and end

Peers on Debian: apt-get install restic borgbackup rsync

What is measured of Aliquot alone, by one program each (docs/performance.md says what of; --data DIR as above):
  node --conditions=aliquot-source bench/mark.ts | bench/simulate.ts | bench/rewrite.ts | bench/beside-collection.ts

Examples:
  npm run bench
  npm run bench -- --scale 0.05 --runs 1
  npm run bench -- --systems ours,borg --verbs first,restore --json figures.json
`;

/** Where generated data is kept by default. */
export function dataFolder(): string {
  return join(tmpdir(), 'aliquot-bench', 'data');
}

/** Where repositories are made by default. */
export function repositoryFolder(): string {
  return join(tmpdir(), 'aliquot-bench', 'work');
}

/** Reads the command line. Throws with a sentence that says what is accepted. */
export function readOptions(args: readonly string[]): BenchOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      runs: { type: 'string', default: '3' },
      systems: { type: 'string', default: systemNames.join(',') },
      verbs: { type: 'string', default: verbs.join(',') },
      scale: { type: 'string', default: '1' },
      data: { type: 'string', default: dataFolder() },
      work: { type: 'string', default: repositoryFolder() },
      restored: { type: 'string' },
      json: { type: 'string' },
      'normal-priority': { type: 'boolean', default: false },
      'no-limits': { type: 'boolean', default: false },
      keep: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  const runs = Number(values.runs);
  if (!/^\d+$/.test(values.runs) || runs < 1 || runs > 100)
    throw new Error(`--runs takes a number from 1 to 100, not ${values.runs}`);
  const scale = Number(values.scale);
  if (!(scale > 0 && scale <= 1))
    throw new Error(`--scale takes a number above 0 up to 1, such as 0.05, not ${values.scale}`);
  return {
    runs,
    systems: namesOf('--systems', values.systems, systemNames),
    verbs: namesOf('--verbs', values.verbs, verbs),
    scale,
    data: resolve(values.data),
    work: resolve(values.work),
    restored: values.restored === undefined ? undefined : resolve(values.restored),
    json: values.json === undefined ? undefined : resolve(values.json),
    normalPriority: values['normal-priority'],
    limits: !values['no-limits'],
    keep: values.keep,
    help: values.help,
  };
}

/** The known names of a list, in the order in which they are known. */
function namesOf<Name extends string>(
  option: string,
  text: string,
  known: readonly Name[],
): Name[] {
  const asked = text.split(',').filter(Boolean);
  const stranger = asked.find((name) => !known.some((one) => one === name));
  if (stranger !== undefined || asked.length === 0) {
    throw new Error(`${option} takes a list of ${known.join(', ')}, not ${stranger ?? 'nothing'}`);
  }
  return known.filter((name) => asked.includes(name));
}
