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

/** The name of file `number`. */
export function recordFileName(format: FileFormat<string>, number: number): string {
  return `${String(number).padStart(DIGITS, '0')}${format.suffix}`;
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
  const found: [number, number][] = [];
  await withFileErrors('list', dir, async () => {
    for await (const entry of port.list(dir)) {
      const name = entry.name.toString('latin1');
      const number = Number(/^(\d{8,15})\./.exec(name)?.[1] ?? Number.NaN);
      if (name === recordFileName(format, number))
        found.push([number, Number((await port.stat(join(dir, name))).size)]);
    }
  });
  found.sort((left, right) => left[0] - right[0]);
  return new Map(found);
}

/**
 * Whose the files of a folder are and their salt, as the oldest says that has a sound header (of
 * the owner, when one is given); else what the caller knows of both.
 */
export async function identityOf(
  { port, dir, format, owner, salt }: RecordFolder<string>,
  sizes: ReadonlyMap<number, number>,
): Promise<LogIdentity | undefined> {
  for (const number of sizes.keys()) {
    const path = join(dir, recordFileName(format, number));
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
