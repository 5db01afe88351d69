import { createHash } from 'node:crypto';
import { readlinkSync } from 'node:fs';
import { hostname } from 'node:os';
import { u64be } from '../crypto/bytes.ts';
import { joinRaw } from '../durable/durable.ts';
import { type FilePort, parentOf } from '../durable/file-port.ts';
import { errnoOf } from '../durable/system-errors.ts';
import { endWith } from '../durable/unexpected.ts';
import type { Random } from '../ports.ts';
import type { FileSpec, UnfinishedPart } from './restore-target.ts';
import { WORTH_KEEPING_BYTES } from './sink.ts';

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

const PART_NAME = /^\.aq-([0-9a-f]{8})-([0-9]{1,10})-([0-9a-f]{12})\.part$/;

/**
 * A new name in the folder of `final` for what is not finished yet: tells whose it is, and by six
 * bytes what.
 */
export function partBeside(final: Buffer, run: RestoreRun, tag: Buffer): Buffer {
  return joinRaw(parentOf(final), partName(run, tag));
}

/** Such a name alone. */
function partName({ place, pid }: RestoreRun, tag: Buffer): Buffer {
  return Buffer.from(`.aq-${place}-${pid}-${tag.toString('hex')}.part`);
}

/** Names for what nobody goes on with: they begin anywhere, and no two are one. */
export class PartNames {
  readonly #name: Buffer;

  constructor(run: RestoreRun, random: Random) {
    this.#name = partName(run, Buffer.from(random.bytes(6)));
  }

  /** The next one: the same memory each time, for there is one for each small file. */
  next(): Buffer {
    const name = this.#name;
    for (let at = name.length - '.part'.length - 1; at > 0; at -= 1) {
      const next = DIGITS.indexOf(name[at] ?? 0) + 1;
      if (next === 0) break;
      name[at] = DIGITS[next % DIGITS.length] ?? 0;
      if (next < DIGITS.length) break;
    }
    return name;
  }
}

const DIGITS = Buffer.from('0123456789abcdef');

/** Six bytes that stand for one content under one name, so that a part of it is found again. */
export function tagOf(final: Buffer, { size, sha256 }: Pick<FileSpec, 'size' | 'sha256'>): Buffer {
  const hash = createHash('sha256').update(u64be(size)).update(sha256).update(final);
  return hash.digest().subarray(0, 6);
}

/**
 * Takes away what a restore of this machine left in a folder when it was killed. Only names that
 * such a restore makes, only those of a process that has certainly ended, and never a folder. What
 * cannot be listed or removed stays: it harms nobody.
 *
 * @returns What is worth going on with, by its tag in hexadecimal; `removeParts` takes it away.
 */
export async function removeLeftovers(
  port: FilePort,
  folder: Buffer,
  run: RestoreRun,
): Promise<Map<string, UnfinishedPart>> {
  const kept = new Map<string, UnfinishedPart>();
  const dead: Buffer[] = [];
  try {
    for await (const { name, kind } of port.list(folder)) {
      const [, place, pid, tag] = PART_NAME.exec(name.toString('latin1')) ?? [];
      if (place !== run.place || tag === undefined || kind === 'directory') continue;
      if (run.isAlive(Number(pid))) continue;
      const path = joinRaw(folder, name);
      const size = kind === 'file' ? (await port.lstat(path)).size : 0;
      if (size < WORTH_KEEPING_BYTES || kept.has(tag)) dead.push(path);
      else kept.set(tag, { path, size });
    }
    for (const path of dead) await port.unlink(path);
  } catch (error) {
    // It is only tidying: the restore itself says what it cannot do.
    endWith(error);
  }
  return kept;
}

/** Takes away parts that nobody went on with. */
export async function removeParts(port: FilePort, parts: Iterable<UnfinishedPart>): Promise<void> {
  for (const { path } of parts) await port.unlink(path).catch(endWith);
}
