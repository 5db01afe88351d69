import type { RestoreItem } from '@aliquot/shared/restore/placing';
import type { RestoreSummary } from '@aliquot/shared/restore/restore-files';
import { RestoreThreads, type ThreadedRequest } from '@aliquot/shared/restore/restore-threads';
import type { SealedRows } from '@aliquot/shared/restore/sealed-rows';
import { StreamError } from '../api/record-stream.ts';
import { RestError } from '../api/rest-error.ts';
import { CommandError } from '../cli/command-error.ts';
import type { VaultPath } from './client/ask.ts';
import type { OpenVault } from './open-vault.ts';

/** What a thread of a restore begins with. */
export interface ThreadBegin {
  readonly vaultId: Uint8Array;
  /** The collector's address with the operator's token. */
  readonly path: VaultPath;
  /** Undefined: files are proved, and none is written. */
  readonly writes: { readonly overwrite: boolean } | undefined;
}

/** The threads that `restore` and `check` give their files to. */
export class FileThreads {
  readonly #threads: RestoreThreads<ThreadBegin>;

  constructor() {
    const source = import.meta.url.endsWith('.ts');
    const script = new URL(source ? './restore-thread.ts' : './restore-thread.js', import.meta.url);
    this.#threads = new RestoreThreads(script);
  }

  /** See `RestoreThreads.start`. */
  start(): void {
    this.#threads.start();
  }

  /** See `RestoreThreads.restore`. */
  restore(
    { kit, vault }: OpenVault,
    items: AsyncIterable<RestoreItem | SealedRows>,
    writes: ThreadBegin['writes'],
    hears: Omit<ThreadedRequest<ThreadBegin>, 'begin' | 'revive'>,
  ): Promise<RestoreSummary> {
    const begin = { vaultId: kit.descriptor.vaultId, path: vault.path, writes };
    return this.#threads.restore(items, { ...hears, begin, revive });
  }

  close(): Promise<void> {
    return this.#threads.close();
  }
}

/** What a thread met while it fetched, as an error of its own class. */
function revive({ code, message }: { readonly code: string; readonly message: string }): Error {
  for (const kind of [CommandError, RestError, StreamError])
    if (code in kind.codes) return new kind(code as never, message);
  return new Error(`${message} [${code}]`);
}
