import { createHash } from 'node:crypto';
import { readlinkSync } from 'node:fs';
import { hostname } from 'node:os';
import { endWith } from '../cli/unexpected.ts';
import { joinRaw } from '../durable/durable.ts';
import { type FilePort, parentOf } from '../durable/file-port.ts';
import { errnoOf } from '../durable/system-errors.ts';
import type { Random } from '../ports.ts';

/** The process that restores, as the names of its unfinished files tell it. */
export interface RestoreRun {
  /**
   * Eight hexadecimal digits: this machine, and where there are several sets of process ids, this
   * one.
   */
  readonly place: string;
  readonly pid: number;
  /** Whether a process of this place lives. */
  isAlive(pid: number): boolean;
}

/** This process. */
export function thisRun(): RestoreRun {
  return { place: placeOf(hostname(), processIds()), pid: process.pid, isAlive };
}

/** In a container the same number is another process. */
function processIds(): string {
  try {
    return readlinkSync('/proc/self/ns/pid');
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
    return ''; // one set for all, as on Windows and macOS
  }
}

function placeOf(...parts: readonly string[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 8);
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // EPERM: it lives, and is somebody else's.
    return !(error instanceof Error && 'code' in error && error.code === 'ESRCH');
  }
}

const PART_NAME = /^\.aq-([0-9a-f]{8})-([0-9]{1,10})-[0-9a-f]{12}\.part$/;

/** A new name in the folder of `final` for what is not finished yet; tells whose it is. */
export function partBeside(final: Buffer, run: RestoreRun, random: Random): Buffer {
  const name = `.aq-${run.place}-${run.pid}-${Buffer.from(random.bytes(6)).toString('hex')}.part`;
  return joinRaw(parentOf(final), name);
}

/**
 * Takes away what a restore of this machine left in a folder when it was killed. Only names that
 * such a restore makes, only those of a process that has certainly ended, and never a folder. What
 * cannot be listed or removed stays: it harms nobody.
 */
export async function removeLeftovers(
  port: FilePort,
  folder: Buffer,
  run: RestoreRun,
): Promise<void> {
  const dead: Buffer[] = [];
  try {
    for await (const { name, kind } of port.list(folder)) {
      const [, place, pid] = PART_NAME.exec(name.toString('latin1')) ?? [];
      if (place !== run.place || kind === 'directory' || run.isAlive(Number(pid))) continue;
      dead.push(joinRaw(folder, name));
    }
    for (const path of dead) await port.unlink(path);
  } catch (error) {
    // It is only tidying: the restore itself says what it cannot do.
    endWith(error);
  }
}
