import {
  type GcRecord,
  type GcStatus,
  gcPaused,
  gcRecord,
  gcStatus,
} from '../../api/gc-messages.ts';
import { getOf, post, postTo, recordsOf, understood, type VaultPath } from './ask.ts';

/** The collection of a vault. */
export class GcClient {
  readonly #path: VaultPath;

  constructor(path: VaultPath) {
    this.#path = path;
  }

  async status(): Promise<GcStatus> {
    return (await getOf(this.#path, gcStatus, '/gc')).value;
  }

  async pause(paused: boolean): Promise<{ paused: boolean }> {
    return (await postTo(this.#path, gcPaused, '/gc/pause', { paused })).value;
  }

  /** Collects, or says what that would free; tells what it does as it goes on. */
  async *run(asked: { readonly dryRun: boolean; readonly all: boolean }): AsyncGenerator<GcRecord> {
    const { endpoint, base } = this.#path;
    for await (const record of recordsOf(endpoint, post(`${base}/gc`, asked)))
      yield understood(endpoint, gcRecord, JSON.parse(Buffer.from(record).toString('utf8')));
  }
}
