import type { BytePath } from '../source/paths.ts';
import type { CaptureJob } from './window.ts';

/** Jobs as they cross to the worker: names as one text, numbers as one buffer. */
export interface PackedJobs {
  /** Paths of plain jobs in order, each behind a zero, which no path holds. */
  readonly paths: string;
  /** Number and run of each of them. */
  readonly numbers: Float64Array;
  /** Files that grow or may have grown, with the place among all that each has. */
  readonly others: readonly { readonly at: number; readonly job: CaptureJob }[];
}

/** A run that is not given. */
const NO_RUN = -1;

export function packJobs(jobs: readonly CaptureJob[]): PackedJobs {
  const others: { at: number; job: CaptureJob }[] = [];
  const numbers: number[] = [];
  let paths = '';
  for (let at = 0; at < jobs.length; at += 1) {
    const job = jobs[at] as CaptureJob;
    if (job.growing === true || job.growth !== undefined) {
      others.push({ at, job });
      continue;
    }
    paths += `\0${job.path}`;
    numbers.push(job.job, job.run ?? NO_RUN);
  }
  return { paths, numbers: Float64Array.from(numbers), others };
}

export function unpackJobs({ paths, numbers, others }: PackedJobs): readonly CaptureJob[] {
  const jobs: CaptureJob[] = [];
  let other = 0;
  const takeOthers = (): void => {
    for (let next = others[other]; next?.at === jobs.length; next = others[other]) {
      jobs.push(next.job);
      other += 1;
    }
  };
  const plain = paths === '' ? [] : paths.slice(1).split('\0');
  for (let place = 0; place < plain.length; place += 1) {
    takeOthers();
    const path = plain[place] as BytePath;
    const job = numbers[2 * place] as number;
    const run = numbers[2 * place + 1] as number;
    jobs.push(run === NO_RUN ? { job, path } : { job, path, run });
  }
  takeOthers();
  return jobs;
}
