import { isRebuild } from '@aliquot/shared/derived/errors';
import type { UnfitRecord } from '../errors.ts';
import { type HistoryLog, historyStart } from '../history/history-log.ts';
import type { PackOpening } from '../packs/pack-store.ts';
import { followCorrections, followsCorrections } from './apply-clock.ts';
import { catchUp } from './catch-up.ts';
import { VaultCore } from './core.ts';
import { emptied, isUnfitCatalog, load, noteEnd, openingsOf, type Parts } from './core-load.ts';
import type { DurableMark } from './durable-mark.ts';
import { followFiles } from './history-files.ts';
import type { VaultMedia } from './media.ts';

/** How a core is opened. */
export interface CoreOpening {
  /** Hears of each record that is passed over because it cannot be applied, and of lost packs. */
  readonly onUnfit?: ((record: UnfitRecord) => void) | undefined;
  /** What a core that failed had synced, told before it was closed: nothing else is kept. */
  readonly synced?: DurableMark | undefined;
}

/**
 * Opens history, packs and catalog, and takes in what the catalog does not know yet, or all of it
 * when the catalog is missing, broken or of another version. Throws `STORE_CORRUPT` where durable
 * records of the history are gone or broken. A pack that is gone, or has lost its end, costs what
 * lay in it and nothing else; that is told to `onUnfit`, as is what cannot be applied.
 */
export async function openCore(media: VaultMedia, opening: CoreOpening = {}): Promise<VaultCore> {
  try {
    return await openOnce(media, opening);
  } catch (error) {
    // Found while it was read; the next opening makes it anew.
    if (!isRebuild(error)) throw error;
    return openOnce(media, opening);
  }
}

/** Whether something was ever stored in packs, as far as the catalog or the history know. */
export async function reliesOnPacks(
  { durable = [] }: PackOpening,
  history: HistoryLog,
): Promise<boolean> {
  if (durable.length > 0) return true;
  for await (const { kind } of history.replay(historyStart))
    if (kind === 'uploads' || kind === 'references') return true;
  return false;
}

async function openOnce(media: VaultMedia, opening: CoreOpening): Promise<VaultCore> {
  let catalog = await media.openCatalog();
  const opened: { close(): Promise<void> }[] = [];
  try {
    const { history: from, packs: discard } = await openingsOf(media, catalog, opening.synced);
    const history = await media.openHistory(from);
    opened.push(history);
    const packs = await media.openPacks(discard, await reliesOnPacks(discard, history));
    opened.push(packs);
    const loaded = async (): Promise<Parts> => {
      if (await followFiles(history, catalog)) await catalog.flush();
      return load({ history, packs, catalog });
    };
    let parts: Parts;
    try {
      parts = await loaded();
    } catch (error) {
      if (!isUnfitCatalog(error)) throw error;
      catalog = await emptied(catalog, media);
      parts = await loaded();
    }
    // The places of the catalog are durable: nobody needs the former files any more.
    await history.removeFormer();
    const over = (all: Parts) =>
      VaultCore.over(all, { writeMark: (mark) => media.writeMark(mark) });
    let core = over(parts);
    let isAnew = parts.point.file === historyStart.file;
    await catchUp(core, media, opening.onUnfit);
    // Corrections stand behind what they correct: found only now, they are known from the beginning
    // the second time.
    while (!followsCorrections(core.registry)) {
      followCorrections(catalog, core.registry);
      catalog = await emptied(catalog, media);
      core = over(await loaded());
      isAnew = true;
      await catchUp(core, media, opening.onUnfit);
    }
    if (isAnew) await core.registry.readNotes(catalog);
    await noteEnd(core);
    await core.flush();
    return core;
  } catch (error) {
    for (const one of opened) await one.close();
    await catalog.close();
    throw error;
  }
}
