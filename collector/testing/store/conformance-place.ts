import type { StateRecord } from '@aliquot/proto';
import { StoreError } from '../../src/store/errors.ts';
import type { VaultStore } from '../../src/store/vault-store.ts';
import type { StoreWorld } from './world.ts';

/** A store under test: opened on the same place again and again. */
export interface StoreFactory {
  /** Opens (or makes) the store of `world`; each test uses one world and one place. */
  open(world: StoreWorld): Promise<VaultStore>;
  /** Closes it in good order; the next `open` finds what was kept. */
  close(store: VaultStore): Promise<void>;
}

/** A vault that has just begun. */
export interface VaultPlace {
  readonly world: StoreWorld;
  readonly places: StoreFactory;
  readonly store: VaultStore;
}

/** Makes a new vault in a new place. */
export type Begin = () => Promise<VaultPlace>;

export async function all(records: AsyncIterable<StateRecord>): Promise<StateRecord[]> {
  const found: StateRecord[] = [];
  for await (const record of records) found.push(record);
  return found;
}

/** The code of the store's error with which `run` ends; `undefined` when it ends well. */
export async function codeOf(run: Promise<unknown>): Promise<string | undefined> {
  try {
    await run;
    return undefined;
  } catch (error) {
    if (error instanceof StoreError) return error.code;
    throw error;
  }
}
