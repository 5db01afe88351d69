import { appendFileSync, rmSync, writeFileSync } from 'node:fs';
import type {
  TortureContext,
  TortureCounts,
  TortureScenario,
} from '@aliquot/shared/testing/scenario';
import { fromText, pathBytes } from '../../src/source/paths.ts';
import { noise } from '../queue/support.ts';
import { find, openServiceBench, type ServiceBench } from './bench.ts';

/**
 * Files whose sizes meet every way of ending: at a record, in a chunk, between chunks, not at all.
 */
const sizes = [0, 1, 700, 5_000, 60_000, 150_000, 420_000];
const LARGEST = 800_000;

/**
 * Backs up the same files with room for so many bytes, more and more, then lets the collector take
 * what is queued, until all is there: at every size what is not captured waits and is named, and
 * nothing is lost or left waiting.
 */
async function everyRoom(context: TortureContext, steps: number): Promise<TortureCounts> {
  const failed: string[] = [];
  let injected = 0;
  for (let step = 0; step < steps; step += 1) {
    if (!context.mine(step + 1)) continue;
    if (context.over()) return { injected, passed: injected - failed.length, failed, whole: false };
    injected += 1;
    const maxBytes =
      Math.floor((LARGEST / steps) * step) +
      context.random.derive(`room ${step}`).below(Math.ceil(LARGEST / steps));
    const wrong = await withRoom(maxBytes, context);
    if (wrong !== undefined)
      failed.push(`case ${step + 1}: with room for ${maxBytes} bytes: ${wrong}`);
  }
  return { injected, passed: injected - failed.length, failed, whole: true };
}

async function withRoom(maxBytes: number, context: TortureContext): Promise<string | undefined> {
  const service = await openServiceBench({ maxBytes, minFreeBytes: 0, classes: {} });
  try {
    for (const [at, size] of sizes.entries())
      writeFileSync(service.at(`f${at}`), noise(`${context.seed} ${at}`, size));
    const done = await service.backup(true);
    const first = await everyFileIsSomewhere(service, done.code);
    if (first !== undefined) return first;

    // Half of what waits changes, one goes: both are told, and the rest is captured when there is
    // room.
    const waits = await waitingNames(service);
    const [changes, goes] = [waits[0], waits[1]];
    if (changes !== undefined) appendFileSync(service.at(changes), 'more');
    if (goes !== undefined) rmSync(service.at(goes));
    service.bench.clock.ms += 60_000;
    await service.backup(false);
    const lost: string[] = [];
    for await (const { path, why } of service.bench.queue.losses.list()) {
      if (path !== undefined)
        lost.push(
          `${why} ${Buffer.from(path)
            .toString()
            .slice(service.bench.data.length + 1)}`,
        );
    }
    const expected = [
      ...(changes === undefined ? [] : [`reference-changed ${changes}`]),
      ...(goes === undefined ? [] : [`reference-gone ${goes}`]),
    ];
    if (lost.sort().join() !== expected.sort().join())
      return `lost is ${lost.join(', ')}, and should be ${expected.join(', ')}`;
    return await everythingThatFitsIsSafe(service, maxBytes, goes);
  } finally {
    await service.close();
  }
}

async function waitingNames({ bench }: ServiceBench): Promise<string[]> {
  const names: string[] = [];
  for await (const { path } of bench.queue.references.list()) {
    const name = Buffer.from(path)
      .toString()
      .slice(bench.data.length + 1);
    if (name !== '') names.push(name);
  }
  return names;
}

async function everyFileIsSomewhere(
  service: ServiceBench,
  code: string | undefined,
): Promise<string | undefined> {
  const waits = new Set(await waitingNames(service));
  for (const at of sizes.keys()) {
    const captured =
      (await service.bench.queue.ledger.known(pathBytes(fromText(service.at(`f${at}`), '/')))) !==
      undefined;
    if (captured === waits.has(`f${at}`))
      return `f${at} is ${captured ? 'captured and waits' : 'neither captured nor waiting'}`;
  }
  const { files } = service.bench.queue.references.totals();
  if (files > 0 !== (code === 'PARTIAL'))
    return `${files} wait, and the backup ended with ${code ?? 'no error'}`;
  const status = await service.perform({ op: 'status', results: false });
  const named = find(status, 'problem').filter(
    (problem) => problem['code'] === 'queue-full',
  ).length;
  return named === files ? undefined : `${files} wait, and ${named} are named`;
}

/** A file may wait for ever only when it is larger than all the room there is. */
async function everythingThatFitsIsSafe(
  service: ServiceBench,
  maxBytes: number,
  gone: string | undefined,
): Promise<string | undefined> {
  const waits = new Set(await waitingNames(service));
  for (const [at, size] of sizes.entries()) {
    if (`f${at}` === gone) continue;
    const known = await service.bench.queue.ledger.known(
      pathBytes(fromText(service.at(`f${at}`), '/')),
    );
    if (known?.state === 'safe') continue;
    // Records have heads, versions have names: some room beside the content.
    if (size + 10_000 < maxBytes)
      return `f${at} of ${size} bytes is ${known?.state ?? (waits.has(`f${at}`) ? 'waiting' : 'nowhere')}`;
    if (!waits.has(`f${at}`)) return `f${at} is not safe and does not wait`;
  }
  return undefined;
}

/** `steps` sizes of the queue, from none to more than enough. */
export function queueOfEverySize(context: TortureContext, steps: number): Promise<TortureCounts> {
  return everyRoom(context, steps);
}

export const roomScenarios: readonly TortureScenario[] = [
  {
    name: 'queue-of-every-size',
    about:
      'the same files are backed up into queues of every size from nothing to enough; what finds no room is named, waits, and is captured after the receipts; what changes or goes meanwhile is named lost',
    proves: ['P6'],
    run: (context) => queueOfEverySize(context, 200),
  },
];
