import { createHash } from 'node:crypto';
import { join } from 'node:path';
import {
  AliquotError,
  type ErrorCodes,
  isReleaseFile,
  MAX_RELEASE_DATA_BYTES,
  MAX_RELEASE_FILE_BYTES,
  MAX_RELEASE_FILES,
} from '@aliquot/proto';
import {
  ensureDirectory,
  exists,
  readFileIfThere,
  readFully,
  removeDurably,
  writeFully,
} from '@aliquot/shared/durable/durable';
import type { FilePort } from '@aliquot/shared/durable/file-port';
import { writeStreamDurably } from '@aliquot/shared/durable/write-stream';
import { compareVersions } from '@aliquot/shared/release/version';
import { Serial } from '@aliquot/shared/serial';
import {
  type NamedFile,
  type NamedRelease,
  namedReleases,
  TIMESTAMP_FILE,
} from '../api/named-releases.ts';
import { piecesOf } from '../api/release-pieces.ts';

const codes = {
  /** What was handed over is no whole release, or not what it was said to be. */
  RELEASE_BROKEN: 'final',
  /**
   * Another file of that name is kept already: of another vendor, or one of the two was altered.
   */
  RELEASE_CONFLICT: 'final',
  /** The collector has no such release. */
  RELEASE_UNKNOWN: 'final',
  /** The disk has no room for it. */
  RELEASE_NO_ROOM: 'final',
} satisfies ErrorCodes;

export type ReleaseErrorCode = keyof typeof codes;

/** A release that cannot be kept, or is not there. */
export class ReleaseError extends AliquotError<ReleaseErrorCode> {
  static override readonly codes = codes;
}

/** A file on the shelf, or none; `size` is the whole file's. */
export interface ShelfPart {
  readonly size: number;
  readonly bytes: Uint8Array;
}

/** What the collector has of a release. */
export interface KeptRelease extends NamedRelease {
  readonly bytes: number;
  /** Whether every file of it is here. */
  readonly whole: boolean;
}

/** So much stays free for what PCs capture. */
const RESERVE_BYTES = 1024 * 1024 * 1024;

/**
 * Releases of the agent that the collector hands out: the files of a TUF repository as they were
 * given, in `releases/` of its folder. It neither believes them nor proves them; PCs verify the
 * vendor's signatures. Files come in parts, named by their hashes, and take their names when all
 * are there: the list of what is newest (`timestamp.json`) last.
 */
export class ReleaseShelf {
  readonly #files: FilePort;
  readonly #dir: string;
  /** One change at a time. */
  readonly #serial = new Serial();

  constructor(files: FilePort, collectorDir: string) {
    this.#files = files;
    this.#dir = join(collectorDir, 'releases');
  }

  /**
   * Bytes of a file from `offset` on, at most `MAX_RELEASE_DATA_BYTES`; undefined when there is
   * none.
   */
  async read(name: string, offset: number): Promise<ShelfPart | undefined> {
    if (!isReleaseFile(name)) return undefined;
    const path = join(this.#dir, name);
    if (!(await exists(this.#files, path))) return undefined;
    const file = await this.#files.open(path, 'read');
    try {
      const { size } = await file.facts();
      const length = Math.max(0, Math.min(MAX_RELEASE_DATA_BYTES, size - offset));
      return { size, bytes: await readFully(file, offset, length) };
    } finally {
      await file.close();
    }
  }

  /** The releases that the newest list names and whose program is here, newest first. */
  async list(): Promise<KeptRelease[]> {
    const kept: KeptRelease[] = [];
    for (const release of await namedReleases((name) => this.#whole(name))) {
      const sizes = await Promise.all(
        release.files.map(async ({ name }) => await this.#size(name)),
      );
      const programs = release.files.filter(({ part }) => part === 'program');
      if (!programs.some((file) => sizes[release.files.indexOf(file)] === file.size)) continue;
      const whole = release.files.every((file, at) => sizes[at] === file.size);
      kept.push({
        ...release,
        whole,
        bytes: sizes.reduce((sum: number, size) => sum + (size ?? 0), 0),
      });
    }
    return kept.sort((a, b) => compareVersions(b.version, a.version));
  }

  /**
   * Those of these hashes that targets here have in their names: what is named by its hash was
   * proved when it got its name.
   */
  async kept(hashes: readonly string[]): Promise<string[]> {
    const here = new Set<string>();
    const folder = join(this.#dir, 'targets');
    if (!(await exists(this.#files, folder))) return [];
    for await (const { name } of this.#files.list(folder)) here.add(name.toString().slice(0, 64));
    return hashes.filter((hash) => here.has(hash));
  }

  /**
   * Takes a part of a file that will be published by its hash; answers how much of it is here. A
   * part at another offset changes nothing.
   */
  putPart(sha256: string, offset: number, bytes: Uint8Array): Promise<number> {
    return this.#serial.run(async () => {
      const path = this.#incoming(sha256);
      await ensureDirectory(this.#files, join(this.#dir, 'incoming'));
      if (offset + bytes.length > MAX_RELEASE_FILE_BYTES)
        throw new ReleaseError('RELEASE_BROKEN', 'a file of the release is too large');
      if ((await this.#files.freeBytes(this.#dir)) < RESERVE_BYTES + bytes.length) {
        const way = 'make room, or remove a release: aliquot release list';
        throw new ReleaseError(
          'RELEASE_NO_ROOM',
          `the collector's disk has less than 1 GiB free, which PCs need: ${way}`,
        );
      }
      const file = await this.#files.open(path, 'updateOrCreate', 0o600);
      try {
        const { size } = await file.facts();
        if (offset === 0) await file.truncate(0);
        else if (offset !== size) return size;
        await writeFully(file, bytes, offset);
        return offset + bytes.length;
      } finally {
        await file.close();
      }
    });
  }

  /**
   * Gives the files of a release, which came in parts or are here already, their names. Answers
   * which versions are new here.
   */
  publish(files: readonly NamedFile[]): Promise<string[]> {
    return this.#serial.run(async () => {
      if (files.length > MAX_RELEASE_FILES)
        throw new ReleaseError(
          'RELEASE_BROKEN',
          `a release has at most ${MAX_RELEASE_FILES} files`,
        );
      // A list that could not be read any more would stand in the way of every later one.
      const large = files.find(
        ({ name, size }) => name.startsWith('metadata/') && size > MAX_RELEASE_DATA_BYTES,
      );
      if (large !== undefined)
        throw new ReleaseError(
          'RELEASE_BROKEN',
          `the list ${large.name} is larger than ${MAX_RELEASE_DATA_BYTES / 1024} KiB`,
        );
      const before = new Set((await this.list()).map(({ version }) => version));
      for (const folder of ['metadata', 'targets'])
        await ensureDirectory(this.#files, join(this.#dir, folder));
      const ordered = files.toSorted((a, b) => rank(a.name) - rank(b.name));
      for (const file of ordered) await this.#place(file);
      for (const { sha256 } of files) await removeDurably(this.#files, this.#incoming(sha256));
      return (await this.list())
        .map(({ version }) => version)
        .filter((version) => !before.has(version));
    });
  }

  /**
   * Removes the program of a version, and a Node that no other release needs. The vendor's lists
   * stay.
   */
  remove(version: string): Promise<void> {
    return this.#serial.run(async () => {
      const releases = await this.list();
      const gone = releases.find((release) => release.version === version);
      if (gone === undefined) {
        const has = releases.map((release) => release.version).join(', ') || 'none';
        throw new ReleaseError(
          'RELEASE_UNKNOWN',
          `the collector has no release ${version}; it has: ${has}`,
        );
      }
      const needed = new Set(
        releases
          .filter((release) => release !== gone)
          .flatMap(({ files }) => files.map(({ name }) => name)),
      );
      for (const { name } of gone.files)
        if (!needed.has(name)) await removeDurably(this.#files, join(this.#dir, name));
    });
  }

  async #place({ name, size, sha256 }: NamedFile): Promise<void> {
    if (!isReleaseFile(name))
      throw new ReleaseError('RELEASE_BROKEN', `"${name}" is no name of a file of a release`);
    const path = join(this.#dir, name);
    if (await exists(this.#files, path)) {
      if (name.startsWith(`targets/${sha256}.`)) return;
      if ((await this.#hash(path)) === sha256) return;
      const way =
        'it is of another vendor, or one of the two was altered: remove the folder `releases` of the collector to begin anew';
      if (name !== TIMESTAMP_FILE)
        throw new ReleaseError('RELEASE_CONFLICT', `another file ${name} is kept already; ${way}`);
    }
    const incoming = this.#incoming(sha256);
    if (
      !(await exists(this.#files, incoming)) ||
      (await this.#hash(incoming)) !== sha256 ||
      (await this.#sizeOf(incoming)) !== size
    )
      throw new ReleaseError(
        'RELEASE_BROKEN',
        `the file ${name} did not arrive whole: run the command again`,
      );
    await writeStreamDurably(this.#files, path, piecesOf(this.#files, incoming), { mode: 0o600 });
  }

  /** A small file of the shelf. */
  async #whole(name: string): Promise<Buffer | undefined> {
    return readFileIfThere(this.#files, join(this.#dir, name), MAX_RELEASE_DATA_BYTES);
  }

  async #size(name: string): Promise<number | undefined> {
    const path = join(this.#dir, name);
    return (await exists(this.#files, path)) ? this.#sizeOf(path) : undefined;
  }

  async #sizeOf(path: string): Promise<number> {
    return (await this.#files.stat(path)).size;
  }

  async #hash(path: string): Promise<string> {
    const hash = createHash('sha256');
    for await (const piece of piecesOf(this.#files, path)) hash.update(piece);
    return hash.digest('hex');
  }

  #incoming(sha256: string): string {
    return join(this.#dir, 'incoming', sha256);
  }
}

/** Files before the lists that name them, and what says which list is the newest at the end. */
function rank(name: string): number {
  if (name.startsWith('targets/')) return 0;
  if (name === TIMESTAMP_FILE) return 4;
  return name.endsWith('.targets.json') ? 1 : name.endsWith('.snapshot.json') ? 2 : 3;
}
