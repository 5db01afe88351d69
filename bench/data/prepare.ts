import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  type PlannedFile,
  planGrowing,
  planMixed,
  planSecond,
  planSmall,
  writePlan,
} from './sets.ts';

/** Part of every set's name: data of another version is made again, not mixed up. */
const VERSION = 1;

export type SetName = 'mixed' | 'second' | 'small' | 'small-second' | 'growing';

/** A set of files on the disk. */
export interface DataSet {
  readonly name: string;
  readonly folder: string;
  readonly files: number;
  readonly bytes: number;
}

/** What the plan of a set says, without writing anything. */
export function planOf(name: SetName, scale: number): PlannedFile[] {
  if (name === 'mixed') return planMixed(scale);
  if (name === 'second') return planSecond(planMixed(scale), scale);
  return name === 'growing' ? planGrowing(scale) : planSmall(scale);
}

/**
 * The set at this scale, made when it is not there yet. Half a set (the maker was stopped) is never
 * taken for a whole one.
 */
export function prepare(
  base: string,
  name: SetName,
  scale: number,
  say: (line: string) => void,
): DataSet {
  const folder = join(base, `${name}-v${VERSION}-scale-${scale}`);
  const plan = planOf(name, scale);
  const bytes = plan.reduce((sum, file) => sum + file.bytes, 0);
  const set: DataSet = { name, folder, files: plan.length, bytes };
  const mark = `${folder}.json`;
  if (existsSync(mark) && existsSync(folder)) {
    const made = JSON.parse(readFileSync(mark, 'utf8')) as DataSet;
    if (made.files === set.files && made.bytes === set.bytes) return set;
  }
  const megabytes = Math.round(bytes / 1e6);
  say(
    `making ${name}: ${plan.length.toLocaleString('en')} files, ${megabytes.toLocaleString('en')} MB, in ${folder}`,
  );
  rmSync(mark, { force: true });
  rmSync(folder, { recursive: true, force: true });
  rmSync(`${folder}.making`, { recursive: true, force: true });
  mkdirSync(`${folder}.making`, { recursive: true });
  writePlan(`${folder}.making`, plan);
  renameSync(`${folder}.making`, folder);
  writeFileSync(mark, JSON.stringify(set));
  return set;
}
