import { join } from 'node:path';
import { readFileIfThere, writeFileDurably } from '@aliquot/shared/durable/durable';
import type { FilePort } from '@aliquot/shared/durable/file-port';
import { z } from 'zod';
import { type BytePath, isWithin } from './paths.ts';

/**
 * A *place*: a folder whose content comes and goes as one. The root of a source is one, a path that
 * `backup` is given, and every folder where something is mounted. This is how it is known again;
 * device numbers are no part of it, for they change with every mount.
 */
export interface PlaceIdentity {
  /** What is mounted there, or holds it: kind of file system, device, part. */
  readonly fileSystem: string;
  /** Whether it is a mount point itself. */
  readonly mount: boolean;
  readonly ino: bigint;
  /** Whether it is a folder: a root may be a symbolic link or a file. */
  readonly isFolder: boolean;
  /** When the folder was made (ns since 1970), 0 where the file system does not keep that. */
  readonly bornNs: bigint;
}

/** What is remembered of a place. */
export interface KnownPlace {
  /** The folder in which everything known of it was seen; undefined before the first scan. */
  readonly identity: PlaceIdentity | undefined;
  /**
   * Nothing of it is called gone, for what was known was not to be found: until it is found again,
   * or a person says that it is gone. The number is that of the newest version then; what was
   * captured later proves nothing about what was there before.
   */
  readonly heldAtEntry: number | undefined;
}

const identitySchema = z.strictObject({
  fileSystem: z.string(),
  mount: z.boolean(),
  isFolder: z.boolean(),
  ino: z.string(),
  bornNs: z.string(),
});
const schema = z.strictObject({
  version: z.literal(1),
  /** Paths as binary strings. */
  places: z.array(
    z.strictObject({
      path: z.string(),
      identity: identitySchema.optional(),
      heldAtEntry: z.number().optional(),
    }),
  ),
  links: z.array(z.strictObject({ path: z.string(), targets: z.array(z.string()) })),
});

/** Thousands of mounts with long names. */
const LONGEST_BYTES = 64 << 20;

/**
 * The remembered places, in `places.json` of the agent's data folder: a few for each source. A file
 * of its own, because it must outlast the queue's index, which is rebuilt from what is left of the
 * segments.
 */
export class PlaceBook {
  readonly #port: FilePort;
  readonly #path: string;
  readonly #places = new Map<BytePath, KnownPlace>();
  readonly #links = new Map<BytePath, readonly BytePath[]>();
  /** Something known of a place that was there lately: the first to be asked again. */
  readonly #witnesses = new Map<BytePath, BytePath>();
  /** Places that were searched in vain, and in what state: a search asks for every known file. */
  readonly #searched = new Map<BytePath, string>();
  #changed = false;
  #saving: Promise<void> = Promise.resolve();

  private constructor(port: FilePort, path: string) {
    this.#port = port;
    this.#path = path;
  }

  /**
   * A damaged file is treated as missing: then places are known by their folder's number alone
   * until the next scan.
   */
  static async open(port: FilePort, dataDir: string): Promise<PlaceBook> {
    const book = new PlaceBook(port, join(dataDir, 'places.json'));
    // What an earlier process wrote here, and died before it was durable, is about to be believed,
    // and not written again.
    await port.syncDirectory(dataDir);
    const bytes = await readFileIfThere(port, book.#path, LONGEST_BYTES);
    if (bytes !== undefined) book.#load(bytes.toString('utf8'));
    return book;
  }

  get(path: BytePath): KnownPlace | undefined {
    return this.#places.get(path);
  }

  /** Remembers a place, or (undefined) forgets it. Durable with the next `save`. */
  set(path: BytePath, place: KnownPlace | undefined): void {
    if (place === undefined) this.#changed = this.#places.delete(path) || this.#changed;
    else if (!samePlace(this.#places.get(path), place)) {
      this.#places.set(path, place);
      this.#changed = true;
    }
  }

  /** Remembered places in a folder, itself included. */
  within(folder: BytePath): BytePath[] {
    return [...this.#places.keys()].filter((path) => isWithin(path, folder));
  }

  witness(place: BytePath): BytePath | undefined {
    return this.#witnesses.get(place);
  }

  setWitness(place: BytePath, path: BytePath): void {
    this.#witnesses.set(place, path);
    this.#searched.delete(place);
  }

  /**
   * In which state a place was searched in vain. Not durable: another process searches for itself.
   */
  searchedIn(place: BytePath): string | undefined {
    return this.#searched.get(place);
  }

  setSearched(place: BytePath, state: string | undefined): void {
    if (state === undefined) this.#searched.delete(place);
    else this.#searched.set(place, state);
  }

  /** Whether any place was searched in vain: only then what is seen has to be recorded. */
  get searching(): boolean {
    return this.#searched.size > 0;
  }

  /**
   * Where a source that is a symbolic link leads, and led before as far as no person said that this
   * is done with; the newest last.
   */
  targets(link: BytePath): readonly BytePath[] {
    return this.#links.get(link) ?? [];
  }

  setTargets(link: BytePath, targets: readonly BytePath[]): void {
    if (this.targets(link).join('\0') === targets.join('\0')) return;
    if (targets.length === 0) this.#links.delete(link);
    else this.#links.set(link, targets);
    this.#changed = true;
  }

  /**
   * Makes what changed durable. Errors: those of the file system; what was not written is with the
   * next call.
   */
  save(): Promise<void> {
    const saved = this.#saving.then(async () => {
      if (!this.#changed) return;
      this.#changed = false;
      try {
        await writeFileDurably(this.#port, this.#path, Buffer.from(this.#text()), { mode: 0o600 });
      } catch (error) {
        this.#changed = true;
        throw error;
      }
    });
    // its caller hears of the error; the next one begins anyway
    this.#saving = saved.catch(() => undefined);
    return saved;
  }

  #text(): string {
    const places = [...this.#places].map(([path, { identity, heldAtEntry }]) => ({
      path,
      ...(identity === undefined
        ? {}
        : { identity: { ...identity, ino: `${identity.ino}`, bornNs: `${identity.bornNs}` } }),
      ...(heldAtEntry === undefined ? {} : { heldAtEntry }),
    }));
    const links = [...this.#links].map(([path, targets]) => ({ path, targets: [...targets] }));
    return `${JSON.stringify({ version: 1, places, links } satisfies z.input<typeof schema>)}\n`;
  }

  #load(text: string): void {
    try {
      const stored = schema.parse(JSON.parse(text));
      for (const { path, identity, heldAtEntry } of stored.places) {
        const known =
          identity === undefined
            ? undefined
            : { ...identity, ino: BigInt(identity.ino), bornNs: BigInt(identity.bornNs) };
        this.#places.set(path, { identity: known, heldAtEntry });
      }
      for (const { path, targets } of stored.links) this.#links.set(path, targets);
    } catch (cause) {
      if (!(cause instanceof z.ZodError) && !(cause instanceof SyntaxError)) throw cause;
      this.#places.clear();
      this.#links.clear();
    }
  }
}

/** Whether a folder is the one that it was. */
export function sameIdentity(a: PlaceIdentity, b: PlaceIdentity): boolean {
  return (
    a.fileSystem === b.fileSystem &&
    a.mount === b.mount &&
    a.isFolder === b.isFolder &&
    a.ino === b.ino &&
    a.bornNs === b.bornNs
  );
}

function samePlace(a: KnownPlace | undefined, b: KnownPlace): boolean {
  if (a === undefined || a.heldAtEntry !== b.heldAtEntry) return false;
  return a.identity === undefined || b.identity === undefined
    ? a.identity === b.identity
    : sameIdentity(a.identity, b.identity);
}
