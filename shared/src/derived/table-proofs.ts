import { withFileErrors } from '../durable/errors.ts';
import type { FilePort, OpenFile } from '../durable/file-port.ts';
import { DerivedError } from './errors.ts';
import type { LastOpening, TableFile } from './level-folder.ts';
import { isWholeTable } from './level-table.ts';

/** Tables that are read before anybody is answered: together so many bytes. */
const READ_AT_OPEN_BYTES = 8 * 1024 * 1024;
/** Files held open for those that are read later. */
const MOST_OPEN = 512;

/** Whether tables of so many bytes are not all read before LevelDB is opened. */
export function isLarge(bytes: number): boolean {
  return bytes > READ_AT_OPEN_BYTES;
}

/** Whether LevelDB has written tables anew that may not have been read before. */
export function isDoubtful({ foundBytes, isRewritten }: LastOpening): boolean {
  return isRewritten && isLarge(foundBytes);
}

interface Pending {
  readonly table: TableFile;
  readonly file: OpenFile;
  proof: Promise<void> | undefined;
}

/**
 * Proves the tables that LevelDB found when it was opened. LevelDB looks at no checksum of theirs,
 * and damage may hide a row as well as change it; so a question for keys is answered once every
 * table that may hold them was read. Small indexes are read before they are opened, large ones
 * table by table, as somebody asks and besides. The files are opened before LevelDB is: it may
 * rewrite a table, wrong bytes included, before it was read.
 */
export class TableProofs {
  #pending: Pending[];

  private constructor(pending: Pending[]) {
    this.#pending = pending;
  }

  /** Error: `DERIVED_REBUILD`. */
  static async begin(files: FilePort, tables: readonly TableFile[]): Promise<TableProofs> {
    const pending: Pending[] = [];
    const proofs = new TableProofs(pending);
    let bytes = 0;
    try {
      for (const table of tables) {
        const { path, size } = table;
        const file = await withFileErrors('read', path, () => files.open(path, 'read'));
        const entry: Pending = { table, file, proof: undefined };
        pending.push(entry);
        bytes += size;
        if (!isLarge(bytes) || pending.length > MOST_OPEN) await proofs.#prove(entry);
      }
      return proofs;
    } catch (error) {
      await proofs.end();
      throw error;
    }
  }

  get isDone(): boolean {
    return this.#pending.length === 0;
  }

  /** Those that may hold keys from `first` to `last`, both included; undefined: to the end. */
  async covering(first: Uint8Array, last: Uint8Array | undefined): Promise<void> {
    for (const entry of [...this.#pending]) {
      const { table } = entry;
      if (last !== undefined && Buffer.compare(table.first, last) > 0) continue;
      if (Buffer.compare(table.last, first) >= 0) await this.#prove(entry);
    }
  }

  /** All of them, one after the other. */
  async all(): Promise<void> {
    for (let entry = this.#pending[0]; entry !== undefined; entry = this.#pending[0])
      await this.#prove(entry);
  }

  /** Lets go of what was not read. */
  async end(): Promise<void> {
    const left = this.#pending;
    this.#pending = [];
    for (const { proof } of left) await proof?.catch(() => undefined);
    for (const { file } of left) await file.close();
  }

  #prove(entry: Pending): Promise<void> {
    entry.proof ??= this.#read(entry);
    return entry.proof;
  }

  async #read(entry: Pending): Promise<void> {
    const { table, file } = entry;
    const isWhole = await withFileErrors('read', table.path, () => isWholeTable(file, table.size));
    if (!isWhole) throw new DerivedError('DERIVED_REBUILD', `${table.path} is damaged`);
    // `end` closes what it took over.
    const at = this.#pending.indexOf(entry);
    if (at < 0) return;
    this.#pending.splice(at, 1);
    await file.close();
  }
}
