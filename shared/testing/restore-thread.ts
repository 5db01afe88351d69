import { appendFileSync } from 'node:fs';
import { parentPort } from 'node:worker_threads';
import { AliquotError, type ErrorCodes } from '@aliquot/proto';
import { hex } from '../src/crypto/bytes.ts';
import { blockingFiles, newFiles } from '../src/durable/blocking-files.ts';
import type { FilePort, NewFiles, OpenFile, RawPath } from '../src/durable/file-port.ts';
import { systemRandom } from '../src/ports.ts';
import type { FetchedItem } from '../src/restore/arrivals.ts';
import { FileWriter, type FileWriterOptions } from '../src/restore/file-writer.ts';
import { thisRun } from '../src/restore/leftovers.ts';
import { targetFiles } from '../src/restore/target-files.ts';
import { runRestoreThread } from '../src/restore/thread.ts';
import { caseBlindFiles } from './case-blind-files.ts';
import { systemError } from './faulty-files.ts';
import { vaultId } from './shelf.ts';

/** What goes wrong in a thread, and at which item or name. */
export type ThreadFault =
  /** The item cannot be fetched, by an error of a known kind, and of none. */
  | { readonly fetching: string; readonly fails: 'cut' | 'fault' }
  /** The thread ends when it fetches the item. */
  | { readonly fetching: string; readonly fails: 'exit' }
  /** The file of which the final name ends so cannot be named. */
  | { readonly naming: string; readonly fails: 'EIO' | 'ENOSPC' };

/** What a thread of these tests begins with. */
export interface TestBegin {
  readonly items: readonly (readonly [id: string, sealed: Uint8Array])[];
  /** Where each flush and each name goes to, one a line. */
  readonly log: string;
  readonly fault: ThreadFault | undefined;
  /** The disk takes names that differ only in case for one. */
  readonly caseBlind?: boolean;
}

const codes = { CUT: 'final' } satisfies ErrorCodes;

/** A connection that has ended. */
export class CutError extends AliquotError<keyof typeof codes> {
  static override readonly codes = codes;
}

async function* fetchFrom(
  { items, fault }: TestBegin,
  ids: readonly Uint8Array[],
): AsyncGenerator<FetchedItem> {
  const all = new Map(items);
  for (const id of ids) {
    if (fault !== undefined && 'fetching' in fault && fault.fetching === hex(id)) {
      if (fault.fails === 'exit') process.exit(7);
      throw fault.fails === 'cut' ? new CutError('CUT', 'gone') : new TypeError('a fault of ours');
    }
    const bytes = all.get(hex(id));
    if (bytes !== undefined) yield { id: id as FetchedItem['id'], bytes };
  }
}

/** The real files; flushes and names are noted, and one name fails. */
function noted({ log, fault }: TestBegin): { port: FilePort; newFiles: NewFiles } {
  const note = (what: string, path: RawPath) => appendFileSync(log, `${what} ${path}\n`);
  const named = (path: RawPath): void => {
    if (fault !== undefined && 'naming' in fault && path.toString().endsWith(fault.naming))
      throw systemError(fault.fails, 'link', path.toString());
    note('named', path);
  };
  const link = (existing: RawPath, name: RawPath): void => {
    named(name);
    note('from', existing);
  };
  return {
    port: {
      ...blockingFiles,
      link: async (existing, name) => {
        link(existing, name);
        await blockingFiles.link(existing, name);
      },
      open: async (path, mode, permissions) => {
        const file = await blockingFiles.open(path, mode, permissions);
        const sync = file.sync.bind(file);
        return Object.assign(file, {
          sync: async () => {
            await sync();
            note('synced', path);
          },
        } satisfies Partial<OpenFile>);
      },
    },
    newFiles: {
      ...newFiles,
      link: (existing, name) => {
        link(existing, name);
        return newFiles.link(existing, name);
      },
      open: async (path, mode, permissions) => {
        const file = await newFiles.open(path, mode, permissions);
        const sync = file.sync.bind(file);
        return Object.assign(file, {
          sync: async () => {
            await sync();
            note('synced', path);
          },
        });
      },
    },
  };
}

function filesOf(begin: TestBegin): Pick<FileWriterOptions, 'target' | 'newFiles'> {
  if (begin.caseBlind === true) return { target: targetFiles(caseBlindFiles(blockingFiles), []) };
  const { port, newFiles } = noted(begin);
  return { target: targetFiles(port, []), newFiles };
}

if (parentPort !== null)
  await runRestoreThread(parentPort, (begin: TestBegin) => ({
    vaultId,
    fetchItems: (ids) => fetchFrom(begin, ids),
    writer: new FileWriter({
      ...filesOf(begin),
      ...{ random: systemRandom, run: thisRun(), overwrite: false },
    }),
  }));
