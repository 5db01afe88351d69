import { join } from 'node:path';
import { equalBytes } from '../crypto/primitives.ts';
import { readFully } from '../durable/durable.ts';
import { withFileErrors } from '../durable/errors.ts';
import type { FilePort } from '../durable/file-port.ts';
import {
  decodeFileHeader,
  FILE_HEADER_BYTES,
  type FileHeader,
  type LogIdentity,
  nearFileHeader,
} from './codec.ts';
import type { FileFormat, RecordFolder } from './format.ts';

const DIGITS = 8;

/** The name of file `number`; one that was written anew has its generation behind the number. */
export function recordFileName(format: FileFormat<string>, number: number, generation = 0): string {
  const behind = generation === 0 ? '' : `-${generation}`;
  return `${String(number).padStart(DIGITS, '0')}${behind}${format.suffix}`;
}

/** A file that another generation has taken the place of. */
export interface FormerFile {
  readonly name: string;
  readonly number: number;
  readonly generation: number;
}

/** The files of one kind in a folder. */
export interface RecordFiles {
  /** By number, ascending: the sizes of those in force. */
  readonly sizes: Map<number, number>;
  /** The generations of those that were written anew. */
  readonly generations: Map<number, number>;
  /** Files that another generation has taken the place of. */
  readonly superseded: readonly FormerFile[];
}

/** What a folder has of one kind of files. Names that are not of this kind are left alone. */
export async function listGenerations(
  port: FilePort,
  dir: string,
  format: FileFormat<string>,
): Promise<RecordFiles> {
  const found: { number: number; generation: number; name: string; size: number }[] = [];
  await withFileErrors('list', dir, async () => {
    for await (const entry of port.list(dir)) {
      const name = entry.name.toString('latin1');
      const parts = /^(\d{8,15})(?:-([1-9]\d{0,8}))?\./.exec(name);
      const [number, generation] = [Number(parts?.[1] ?? Number.NaN), Number(parts?.[2] ?? 0)];
      if (generation > 0 && format.hasGenerations !== true) continue;
      if (name === recordFileName(format, number, generation)) {
        const size = Number((await port.stat(join(dir, name))).size);
        found.push({ number, generation, name, size });
      }
    }
  });
  found.sort((left, right) => left.number - right.number || left.generation - right.generation);
  const [sizes, generations] = [new Map<number, number>(), new Map<number, number>()];
  const superseded: FormerFile[] = [];
  for (const [at, { number, generation, name, size }] of found.entries()) {
    if (found[at + 1]?.number === number) superseded.push({ name, number, generation });
    else {
      sizes.set(number, size);
      if (generation > 0) generations.set(number, generation);
    }
  }
  return { sizes, generations, superseded };
}

/**
 * Numbers and sizes of the files of one kind in a folder, ascending. Names that are not of this
 * kind are left alone.
 */
export async function listRecordFiles(
  port: FilePort,
  dir: string,
  format: FileFormat<string>,
): Promise<Map<number, number>> {
  return (await listGenerations(port, dir, format)).sizes;
}

/**
 * Whose the files of a folder are and their salt, as the oldest says that has a sound header (of
 * the owner, when one is given); else what the caller knows of both.
 */
export async function identityOf(
  { port, dir, format, owner, salt }: RecordFolder<string>,
  sizes: ReadonlyMap<number, number>,
  generations: ReadonlyMap<number, number> = new Map(),
): Promise<LogIdentity | undefined> {
  for (const number of sizes.keys()) {
    const path = join(dir, recordFileName(format, number, generations.get(number)));
    const bytes = await withFileErrors('read', path, async () => {
      const file = await port.open(path, 'read');
      try {
        return await readFully(file, 0, FILE_HEADER_BYTES);
      } finally {
        await file.close();
      }
    });
    const verdict = decodeFileHeader(bytes, format);
    if (verdict.type !== 'header' || verdict.header.number !== number) continue;
    if (owner === undefined || equalBytes(verdict.header.owner, owner)) return verdict.header;
  }
  return owner === undefined || salt === undefined ? undefined : { owner, salt };
}

export interface JudgedHeader {
  readonly header: FileHeader;
  /** False when it had to be found out, because the file's own has rotted. */
  readonly isSound: boolean;
}

/**
 * What the first bytes of file `number` say, or must have said: a header that has rotted is known
 * from the log's identity. Throws the room's `foreign` or `later`; `damaged` where
 * nothing tells what it was.
 */
export function judgeFileHeader(
  bytes: Uint8Array,
  format: FileFormat<string>,
  where: {
    readonly path: string;
    readonly number: number;
    readonly owner?: Uint8Array | undefined;
  },
  identity: LogIdentity | undefined,
): JudgedHeader {
  const verdict = decodeFileHeader(bytes, format);
  const owner = where.owner ?? identity?.owner;
  switch (verdict.type) {
    case 'later':
      throw format.error(
        'later',
        `${where.path} was written by another release (version ${verdict.version})`,
      );
    case 'header': {
      const { header } = verdict;
      if (header.number !== where.number)
        throw format.error(
          'foreign',
          `${where.path} holds ${format.name} ${header.number}: it was renamed or doubled; give it back its name, or take the double away`,
        );
      if (owner !== undefined && !equalBytes(header.owner, owner))
        throw format.error(
          'foreign',
          `${where.path} belongs to another folder; put it back where it came from`,
        );
      return { header, isSound: true };
    }
    case 'bad': {
      const near = nearFileHeader(bytes, format, where.number);
      if (near !== undefined && (owner === undefined || equalBytes(near.owner, owner)))
        return { header: near, isSound: false };
      if (identity === undefined)
        throw format.error('damaged', `${where.path}: the header of the ${format.name} is damaged`);
      return { header: { ...identity, number: where.number }, isSound: false };
    }
  }
}
