/**
 * How long the agent's queue takes to open after `kill -9`, and how much memory, at several
 * lengths.
 *
 *     node --conditions=aliquot-source bench/queue-reopen.ts [entries ...]
 *
 * For each length one process fills a queue and goes on writing until it is killed; another one
 * opens what is left. Without arguments: 10,000, 100,000 and 1,000,000 entries; the largest fills
 * about 1.3 GB of the temporary folder and takes some minutes.
 */

import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { ChainId, ChunkId, EntryDraft, FileId, SourceId } from '@aliquot/proto';
import { nodeDisk } from '@aliquot/shared/derived/node-level';
import { systemRandom } from '@aliquot/shared/ports';
import type { KnownStat } from '../agent/src/queue/log/facts.ts';
import { openQueue } from '../agent/src/queue/open.ts';
import type { Queue } from '../agent/src/queue/queue.ts';

const queueLengths = [10_000, 100_000, 1_000_000];
const ITEM_BYTES = 600;
const CALLS_AT_ONCE = 512;
/**
 * Entries that the writer adds after it said that the asked ones are durable, so that it dies at
 * work.
 */
const ENTRIES_BEFORE_DEATH = 3000;
const CAPTURED_AT_MS = 1_800_000_000_000;

interface Reopened {
  readonly openMs: number;
  /**
   * Of this process, in the same time: what is left of `openMs` on an idle machine with a fast
   * disk.
   */
  readonly cpuMs: number;
  readonly entries: number;
  readonly rebuilt: boolean;
  readonly baseMiB: number;
  readonly peakMiB: number;
}

const open = (dataDir: string): Promise<Queue> =>
  openQueue({
    port: nodeDisk,
    dataDir,
    clock: { nowMs: () => Date.now() },
    random: systemRandom,
    chainId: new Uint8Array(16).fill(1) as ChainId,
  });

async function put(queue: Queue, number: number): Promise<void> {
  const path = Buffer.from(
    `/data/instrument-${number % 40}/2026/run-${String(number).padStart(8, '0')}/result.csv`,
  );
  const sealed = Buffer.alloc(ITEM_BYTES, number % 251);
  sealed.writeUInt32BE(number);
  const id = createHash('sha256').update(sealed).digest() as Uint8Array as ChunkId;
  const draft: EntryDraft = {
    kind: 'file',
    sourceId: new Uint8Array(16).fill(3) as SourceId,
    class: 'default',
    fileId: createHash('sha256').update(path).digest() as Uint8Array as FileId,
    size: ITEM_BYTES,
    capturedAtMs: CAPTURED_AT_MS + number,
    completion: 'assumed',
    resultId: undefined,
    content: { depth: 0, piece: 0, refs: [{ id, plainSize: ITEM_BYTES, epoch: 1 }] },
    list: {
      platform: 'posix',
      path,
      resultPathLength: 0,
      mtimeNs: 5n,
      mode: 0o644,
      attributes: 0,
      linkTarget: new Uint8Array(),
    },
    read: { sha256: new Uint8Array(32), keys: [new Uint8Array(32)] },
  };
  const known: KnownStat = {
    ...{
      path,
      kind: 'file' as const,
      size: ITEM_BYTES,
      mtimeNs: 5n,
      ctimeNs: 6n,
      ino: BigInt(number),
      mode: 0o644,
    },
    ...{
      contentTag: new Uint8Array(32),
      capturedAtMs: CAPTURED_AT_MS + number,
      resultPathLength: 0,
    },
  };
  const capture = queue.intake.capture();
  await capture.putItems([{ id, kind: 'chunk', sealed }]);
  await capture.putVersion(draft, known);
}

/** Runs in a process of its own until it is killed. */
async function fill(dataDir: string, entries: number): Promise<void> {
  const queue = await open(dataDir);
  let said = false;
  for (let number = 0; ; ) {
    const until = number + CALLS_AT_ONCE;
    const puts: Promise<void>[] = [];
    for (; number < until; number += 1) puts.push(put(queue, number));
    await Promise.all(puts);
    if (!said && number >= entries) {
      await queue.sync();
      process.stdout.write('durable\n');
      said = true;
    }
    if (number >= entries + ENTRIES_BEFORE_DEATH) process.stdout.write('now\n');
  }
}

async function reopen(dataDir: string): Promise<void> {
  const baseMiB = process.memoryUsage().rss / 1024 ** 2;
  const cpu = process.cpuUsage();
  const before = performance.now();
  const queue = await open(dataDir);
  const openMs = performance.now() - before;
  const { user, system } = process.cpuUsage(cpu);
  const cpuMs = (user + system) / 1000;
  const { entries } = queue.intake.pending();
  const peakMiB = process.resourceUsage().maxRSS / 1024;
  const answer: Reopened = { openMs, cpuMs, entries, rebuilt: queue.rebuilt, baseMiB, peakMiB };
  process.stdout.write(`${JSON.stringify(answer)}\n`);
  await queue.close();
}

function start(...args: readonly string[]) {
  const script = fileURLToPath(import.meta.url);
  return spawn(process.execPath, [...process.execArgv, script, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
}

async function killWhenBusy(dataDir: string, entries: number): Promise<void> {
  const child = start('--fill', dataDir, String(entries));
  for await (const line of createInterface({ input: child.stdout }))
    if (line === 'now') child.kill('SIGKILL');
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
}

async function reopened(dataDir: string): Promise<Reopened> {
  const child = start('--reopen', dataDir);
  let text = '';
  for await (const line of createInterface({ input: child.stdout })) text = line;
  return JSON.parse(text) as Reopened;
}

function bytesUnder(dir: string): number {
  return readdirSync(dir, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, entry) => sum + statSync(join(entry.parentPath, entry.name)).size, 0);
}

async function measure(entries: number): Promise<readonly string[]> {
  const dataDir = mkdtempSync(join(tmpdir(), 'aliquot-reopen-'));
  try {
    await killWhenBusy(dataDir, entries);
    const onDisk = bytesUnder(dataDir) / 1024 ** 2;
    const first = await reopened(dataDir);
    if (first.entries < entries)
      throw new Error(`only ${first.entries} of ${entries} durable entries are there`);
    const again = await reopened(dataDir);
    const cells = [
      first.entries.toLocaleString('en'),
      onDisk.toFixed(0),
      first.openMs.toFixed(0),
      first.cpuMs.toFixed(0),
      again.openMs.toFixed(0),
    ];
    return [
      ...cells,
      first.baseMiB.toFixed(0),
      first.peakMiB.toFixed(0),
      first.rebuilt ? 'yes' : 'no',
    ];
  } finally {
    rmSync(dataDir, { recursive: true, force: true });
  }
}

const [mode, dataDir = '', length] = process.argv.slice(2);
if (mode === '--fill') await fill(dataDir, Number(length));
else if (mode === '--reopen') await reopen(dataDir);
else {
  const lengths = process.argv.length > 2 ? process.argv.slice(2).map(Number) : queueLengths;
  const rows = [
    [
      'entries',
      'MiB on disk',
      'open ms after kill -9',
      'of it CPU ms',
      'open ms again',
      'MiB before',
      'MiB peak',
      'rebuilt',
    ],
  ];
  for (const entries of lengths) rows.push([...(await measure(entries))]);
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((row) => row[column]?.length ?? 0)),
  );
  for (const row of rows)
    process.stdout.write(
      `${row.map((cell, column) => cell.padStart(widths[column] ?? 0)).join('  ')}\n`,
    );
}
