import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { SeededRandom } from '@aliquot/shared/testing/random';
import { differences, pictureOf } from '../../demo/picture.ts';
import { type JsonLine, mustRun, run } from '../../demo/programs.ts';
import { type Harm, wreak } from './chaos.ts';
import { type Collected, Collecting, RULE } from './collecting.ts';
import { runInstrument } from './instrument.ts';
import { Plant, type SoakPc } from './plant.ts';
import { Record } from './record.ts';
import { keepSmallTree } from './small-tree.ts';
import { verifyVersions } from './verify.ts';

/** Instruments that write at the same time on each PC. */
const INSTRUMENTS = 3;
/** How often a PC is asked what it has captured. */
const ASK_MS = 1500;
/**
 * After everything is healed: no more than this until everything is safe, or the soak says what is
 * not.
 */
const SYNC_MS = 600_000;

export interface SoakResult {
  readonly harm: Harm;
  readonly collected: Collected;
  readonly files: number;
  readonly states: number;
  readonly told: number;
  readonly required: number;
  readonly mayBeGone: number;
  readonly versions: number;
  readonly bytes: number;
  /** From the last harm until everything was safe. */
  readonly syncSeconds: number;
  /** What did not hold; empty when nothing was lost. */
  readonly wrong: readonly string[];
}

/**
 * Random instruments, trees of small files and random harm until `over`; then everything is healed,
 * and every state that was told as captured, and every one that lies on the disk, has to come back.
 */
export async function runSoak(
  random: SeededRandom,
  over: () => boolean,
  log: (line: string) => void,
): Promise<SoakResult> {
  const plant = await Plant.open(RULE, log);
  const record = new Record(() => plant.collector.clock.nowMs());
  const collecting = new Collecting(plant, random.derive('collecting'), record);
  try {
    for (const { program } of plant.sides) program.run();
    let asking = true;
    const asked = plant.pcs.map(async (pc) => {
      for (; asking; await delay(ASK_MS)) await listen(plant, pc, record);
    });
    const writing = plant.pcs.flatMap((pc) => [
      ...Array.from({ length: INSTRUMENTS }, (_, index) =>
        runInstrument(
          join(pc.source, `instrument-${index}`),
          random.derive(`${pc.name}/${index}`),
          record,
          over,
        ),
      ),
      keepSmallTree(
        join(pc.source, 'plates'),
        random.derive(`${pc.name}/small files`),
        record,
        over,
      ),
    ]);
    const reporting = report(record, plant, collecting, over, log);
    const kept = collecting.keep(over);
    const harm = await wreak(plant, random.derive('harm'), over);
    await Promise.all([...writing, reporting, kept]);
    record.requireAllPresent();
    const healedMs = Date.now();
    const late = await untilSafe(plant, record);
    late.push(...(await collecting.finish()));
    const syncSeconds = Math.round((Date.now() - healedMs) / 1000);
    asking = false;
    await Promise.all(asked);
    log(`healed and synced after ${syncSeconds} s; now everything is proved and restored`);
    const { versions, bytes, wrong } = await prove(plant, record);
    return {
      ...{ harm, collected: collecting.counts, ...record.counts, versions, bytes, syncSeconds },
      wrong: [...late, ...wrong],
    };
  } finally {
    await plant.close();
  }
}

async function listen(plant: Plant, pc: SoakPc, record: Record): Promise<void> {
  for (const line of await plant.statusOf(pc)) {
    if (line['event'] !== 'result' || (line['state'] !== 'safe' && line['state'] !== 'queued'))
      continue;
    record.heardCaptured(String(line['path']), Number(line['bytes']));
  }
}

async function report(
  record: Record,
  plant: Plant,
  collecting: Collecting,
  over: () => boolean,
  log: (line: string) => void,
): Promise<void> {
  let last = Date.now();
  while (!over()) {
    await delay(250);
    if (Date.now() - last < 30_000) continue;
    last = Date.now();
    const { files, states, told } = record.counts;
    const failures = plant.sides
      .map(({ name, program }) => `${name} ${program.failures}`)
      .join(', ');
    log(
      `${files} files, ${states} states, ${told} told as captured; ended of themselves: ${failures}; ${JSON.stringify(collecting.counts)}`,
    );
  }
}

/**
 * Waits until every PC says that nothing waits and everything finished is told; gives what is still
 * missing when patience ends.
 */
async function untilSafe(plant: Plant, record: Record): Promise<string[]> {
  const started = Date.now();
  for (;;) {
    const missing: string[] = [];
    for (const pc of plant.pcs) {
      const lines = await plant.statusOf(pc);
      const status = lines.find((line) => line['event'] === 'status');
      const queue = status?.['queue'] as { readonly entries: number } | undefined;
      const results = status?.['results'] as
        | { readonly total: number; readonly safe: number }
        | undefined;
      if (!queue || !results || queue.entries > 0 || results.safe < results.total) {
        const { program } = pc;
        missing.push(
          `${pc.name} is not synced: ${JSON.stringify(status ?? 'no status')}, ended by itself ${program.failures} times ${program.lastComplaint}`,
        );
      }
    }
    for (const { path, bytes } of record.untold())
      missing.push(`${path} of ${bytes} bytes was never told as captured`);
    if (missing.length === 0) return [];
    if (Date.now() - started > SYNC_MS) return missing.slice(0, 10);
    await delay(500); // how often we look; nothing depends on it
  }
}

/** Both sides' fsck, every version, and the newest state of everything as a tree. */
async function prove(
  plant: Plant,
  record: Record,
): Promise<{ versions: number; bytes: number; wrong: string[] }> {
  const wrong: string[] = [];
  let versions = 0;
  let bytes = 0;
  const noting = async (what: string, act: () => Promise<void>): Promise<void> => {
    try {
      await act();
    } catch (error) {
      wrong.push(`${what}: ${error instanceof Error ? error.message : String(error)}`);
    }
  };
  for (const pc of plant.pcs) {
    const code = await pc.program.stop();
    if (code !== 0) wrong.push(`the service of ${pc.name} ended with ${code}`);
    await noting(`fsck of ${pc.name}`, async () => {
      wrong.push(...(await unsound(pc)));
    });
    await noting(`versions of ${pc.name}`, async () => {
      const verified = await verifyVersions(plant, pc, record);
      versions += verified.versions;
      bytes += verified.bytes;
      wrong.push(...verified.wrong);
    });
    await noting(`restore of ${pc.name}`, async () => {
      const target = `${pc.source}-restored`;
      await plant.operate(['restore', '--kit', plant.kit, '--agent', pc.name, '--to', target]);
      const different = differences(
        await pictureOf(pc.source),
        await pictureOf(join(target, pc.source)),
      );
      wrong.push(
        ...different.slice(0, 10).map((line) => `the newest state of ${pc.name}: ${line}`),
      );
    });
  }
  // Nobody may have the catalog open: then it is held against a replay of the history.
  const code = await plant.collector.program.stop();
  if (code !== 0) wrong.push(`the collector ended with ${code}`);
  await noting('fsck of the collector', async () => {
    const lines = await plant.operate(['fsck', '--data', plant.collectorData, '--json']);
    wrong.push(...uncompared('the catalog', lines));
  });
  return { versions, bytes, wrong };
}

/**
 * What is wrong in an agent's folder. A version that had no room in the queue, and that its
 * instrument changed before there was room, is lost: fsck and status name it, and this is no fault.
 * Any other loss is one.
 */
async function unsound({ name, data }: SoakPc): Promise<string[]> {
  const { code, stderr, lines } = await run('aliquot-agent', ['fsck', '--data', data, '--json']);
  if (code !== 0 && code !== 3) {
    const found = lines.filter(({ severity }) => severity === 'error');
    throw new Error(`aliquot-agent fsck ended with ${code}: ${stderr} ${JSON.stringify(found)}`);
  }
  const wrong = uncompared(`the index of ${name}`, lines);
  if (code === 0) return wrong;
  const status = await mustRun('aliquot-agent', ['status', '--data', data, '--json']);
  const lost = status.lines.filter(({ event }) => event === 'lost');
  if (lost.length === 0) wrong.push(`${stderr.trim()}, and status names none`);
  for (const line of lost)
    if (!String(line['why']).startsWith('reference-')) wrong.push(JSON.stringify(line));
  return wrong;
}

/** What fsck says of an index or a catalog: it must have been compared, and be the same. */
function uncompared(what: string, lines: readonly JsonLine[]): string[] {
  return lines
    .filter((line) => line['event'] === 'finding' && /index|catalog/i.test(String(line['code'])))
    .map((line) => `${what} is not what a replay gives: ${JSON.stringify(line)}`);
}
