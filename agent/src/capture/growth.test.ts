import { createHash } from 'node:crypto';
import {
  appendFileSync,
  closeSync,
  openSync,
  readFileSync,
  renameSync,
  truncateSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import type { Entry, ListPart, ReadPart } from '@aliquot/proto';
import { openNames } from '@aliquot/shared/commit/open-names';
import { readCommit, rowsIn } from '@aliquot/shared/commit/rows';
import { walkContent } from '@aliquot/shared/content/pages';
import { openChunk } from '@aliquot/shared/content/seal';
import { boxKeyFromSecret } from '@aliquot/shared/crypto/box';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Bench, openBench } from '../../testing/capture/bench.ts';
import { cacheSecret, keys, receiptFor, testSigner, vault } from '../../testing/queue/support.ts';
import { LEAST_GROWING_BYTES } from './growth.ts';
import { openGrowth, readGrowthHead } from './growth-state.ts';

let bench: Bench;
let mtimeS: number;
beforeEach(async () => {
  bench = await openBench();
  // The bench's clock is a day ahead of the disk's.
  mtimeS = Math.floor(bench.clock.ms / 1000) - 3600;
});
afterEach(() => bench.close());

const at = (name: string): string => join(bench.data, name);
const MIB = 1 << 20;
const vaultKey = boxKeyFromSecret(vault.kit.vaultSecretKey);

/** Bytes that neither compress nor repeat, fast. */
function bytes(seed: number, length: number): Buffer {
  const out = Buffer.allocUnsafe(length);
  let state = (seed * 2654435761 + 1) | 0;
  for (let i = 0; i + 4 <= length; i += 4) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    out.writeInt32LE(state, i);
  }
  return out.fill(seed & 255, length - (length % 4));
}

/** Each change has its own time, as on a PC where minutes pass between two backups. */
function stamp(name: string): void {
  mtimeS += 1;
  utimesSync(at(name), mtimeS, mtimeS);
}

function append(name: string, content: Uint8Array): void {
  appendFileSync(at(name), content);
  stamp(name);
}

function overwrite(name: string, position: number, content: Uint8Array): void {
  const file = openSync(at(name), 'r+');
  writeSync(file, content, 0, content.length, position);
  closeSync(file);
  stamp(name);
}

/** An hour and more without a change. */
function rest(): void {
  bench.clock.ms += 2 * 3_600_000;
  mtimeS += 7200;
}

interface Version {
  readonly entry: Entry;
  readonly list: ListPart;
  readonly read: ReadPart;
  readonly content: Buffer;
}

/**
 * Every file's version that is queued, opened as a restore does. Nothing else proves what was
 * captured.
 */
async function sent(): Promise<Version[]> {
  const versions: Version[] = [];
  const signer = testSigner();
  for (
    let commit = await bench.queue.outbox.nextCommit(signer);
    commit !== undefined;
    commit = await bench.queue.outbox.nextCommit(signer)
  ) {
    const sent = readCommit(commit.bytes);
    const reader = { key: vaultKey, recipient: 'vault' } as const;
    const named = openNames(sent, rowsIn(sent.rows), reader, ({ error }) => {
      throw error;
    });
    for (const { entry, list, read: open } of named) {
      const read = open();
      if (read === undefined) continue;
      const parts: Uint8Array[] = [];
      const item = async (
        id: Parameters<typeof bench.queue.items.readItem>[0],
      ): Promise<Uint8Array> => (await bench.queue.items.readItem(id))?.sealed ?? new Uint8Array(0);
      for await (const { ref, key } of walkContent(keys.vaultId, entry.content, read.keys, (page) =>
        item(page.id),
      ))
        parts.push(openChunk(keys.vaultId, ref, key, await item(ref.id)));
      versions.push({ entry, read, list, content: Buffer.concat(parts) });
    }
    const { signed, body } = receiptFor(commit);
    await bench.queue.outbox.receipted(signed, body);
  }
  return versions;
}

const hash = (content: Uint8Array): string => createHash('sha256').update(content).digest('hex');
const lost = async (): Promise<string[]> => {
  const all: string[] = [];
  for await (const { why } of bench.queue.losses.list()) all.push(why);
  return all;
};

test('I-A11: what was appended is read, with a few chunks before it, and the version gives back the whole', async () => {
  let content = bytes(1, 12 * MIB);
  writeFileSync(at('run.dat'), content);
  stamp('run.dat');
  await bench.backup();
  const [first] = await sent();
  expect(first?.entry.completion).toBe('assumed');
  for (let turn = 2; turn < 4; turn += 1) {
    const more = bytes(turn, 2 * MIB);
    append('run.dat', more);
    content = Buffer.concat([content, more]);
    const { readBytes, told } = await bench.backup();
    expect(told).toEqual(['changed run.dat']);
    // The last piece, nine chunks that prove the old part, and what is new: of 12 MiB and more.
    expect(readBytes).toBeLessThan(2 * MIB + 7 * MIB);
    expect(readBytes).toBeGreaterThanOrEqual(2 * MIB);
    const [version] = await sent();
    expect(hash(version?.content ?? Buffer.alloc(0))).toBe(hash(content));
    expect(version?.entry).toMatchObject({ completion: 'growing', size: content.length });
    expect(version?.read.sha256).toHaveLength(0);
  }
});

test('I-A11: at rest the file is read whole once, compared, and the version has its hash', async () => {
  const content = bytes(1, 10 * MIB);
  writeFileSync(at('run.dat'), content.subarray(0, 9 * MIB));
  stamp('run.dat');
  await bench.backup();
  append('run.dat', content.subarray(9 * MIB));
  await bench.backup();
  // Not at once: it may go on growing.
  expect((await bench.backup()).same).toBe(2);
  await sent();
  rest();
  expect((await bench.backup()).readBytes).toBe(10 * MIB);
  const [proved] = await sent();
  expect(proved?.entry.completion).toBe('assumed');
  expect(Buffer.from(proved?.read.sha256 ?? []).toString('hex')).toBe(hash(content));
  expect(await lost()).toEqual([]);
  expect((await bench.backup()).readBytes).toBe(0);
});

test('P6: a file whose older part was changed beneath an append is captured whole, and its growing versions are named', async () => {
  writeFileSync(at('run.dat'), bytes(1, 12 * MIB));
  stamp('run.dat');
  await bench.backup();
  // Where nobody looks before the file rests.
  const state = await bench.queue.ledger.growthOf(Buffer.from(at('run.dat')));
  const looked = readGrowthHead(state ?? new Uint8Array(0))?.samples ?? [];
  expect(looked.length).toBeGreaterThan(1);
  let place = MIB;
  while (looked.some(({ offset, size }) => place + 1000 > offset && place < offset + size))
    place += 1000;
  overwrite('run.dat', place, bytes(99, 1000));
  append('run.dat', bytes(2, MIB));
  expect((await bench.backup()).readBytes).toBeLessThan(12 * MIB);
  const torn = (await sent()).at(-1);
  const now = hash(readFileSync(at('run.dat')));
  expect(torn?.entry.completion).toBe('growing');
  expect(hash(torn?.content ?? Buffer.alloc(0))).not.toBe(now);
  rest();
  await bench.backup();
  expect((await sent()).map(({ content }) => hash(content))).toEqual([now]);
  expect(await lost()).toEqual(['growing-torn']);
});

test('a file that was replaced, cut short, or changed where it is looked at again is read whole', async () => {
  const old = bytes(1, 12 * MIB);
  for (const [name, change] of [
    [
      'replaced',
      () => {
        writeFileSync(at('new'), Buffer.concat([old, bytes(2, MIB)]));
        renameSync(at('new'), at('replaced'));
        stamp('replaced');
      },
    ],
    [
      'changed before its end',
      () => {
        overwrite('changed before its end', 12 * MIB - 1_200_000, bytes(3, 1_200_000));
        append('changed before its end', bytes(2, MIB));
      },
    ],
  ] as const) {
    writeFileSync(at(name), old);
    stamp(name);
    await bench.backup();
    await sent();
    change();
    expect((await bench.backup()).readBytes).toBeGreaterThanOrEqual(13 * MIB);
    const [version] = await sent();
    expect(version?.entry.completion).toBe('assumed');
  }
});

test('small files, and files at rest for long, are never captured by their end alone', async () => {
  writeFileSync(at('small'), bytes(1, LEAST_GROWING_BYTES - 10));
  stamp('small');
  writeFileSync(at('old'), bytes(2, LEAST_GROWING_BYTES + MIB));
  utimesSync(at('old'), mtimeS - 90_000, mtimeS - 90_000);
  await bench.backup();
  await sent();
  append('small', bytes(3, 5));
  append('old', bytes(3, 5));
  await bench.backup();
  expect((await sent()).map(({ entry }) => entry.completion)).toEqual(['assumed', 'assumed']);
});

test('I-A9: after an epoch of the sweep a file is read whole, for nothing older may be relied on', async () => {
  writeFileSync(at('run.dat'), bytes(1, 10 * MIB));
  stamp('run.dat');
  await bench.backup();
  await sent();
  await bench.queue.epochs.learn(5);
  append('run.dat', bytes(2, MIB));
  expect((await bench.backup()).readBytes).toBe(11 * MIB);
});

test('I-A3: what is kept of a growing file holds no key, and opens for nobody who has not its content', async () => {
  writeFileSync(at('run.dat'), bytes(1, 10 * MIB));
  stamp('run.dat');
  await bench.backup();
  const state = Buffer.from((await bench.queue.ledger.growthOf(Buffer.from(at('run.dat')))) ?? []);
  expect(state.length).toBeGreaterThan(1000);
  const [version] = await sent();
  if (version === undefined) throw new Error('nothing was captured');
  const item = async (id: Parameters<typeof bench.queue.items.readItem>[0]): Promise<Uint8Array> =>
    (await bench.queue.items.readItem(id))?.sealed ?? new Uint8Array(0);
  let looked = 0;
  for await (const { key } of walkContent(
    keys.vaultId,
    version.entry.content,
    version.read.keys,
    (page) => item(page.id),
  )) {
    expect(state.includes(Buffer.from(key))).toBe(false);
    looked += 1;
  }
  expect(looked).toBeGreaterThan(10);
  expect(openGrowth(keys, cacheSecret, state, () => new Uint8Array(32))).toBeUndefined();
  for (let cut = 0; cut < state.length; cut += 97)
    expect(
      openGrowth(keys, cacheSecret, state.subarray(0, cut), () => new Uint8Array(32)),
    ).toBeUndefined();
});

test('I-A11: whatever happens to a file, its versions at rest are exact, and a growing one is exact unless it is named', {
  timeout: 600_000,
}, async () => {
  const step = fc.record({
    edit: fc.constantFrom('append', 'append', 'append', 'edit', 'edit and append', 'cut'),
    seed: fc.integer({ min: 1, max: 1e6 }),
    size: fc.integer({ min: 1, max: 2 * MIB }),
    place: fc.double({ min: 0, max: 0.999, noNaN: true }),
    rests: fc.boolean(),
  });
  let file = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 4 }), async (steps) => {
      file += 1;
      const name = `file-${file}`;
      let content = bytes(file, LEAST_GROWING_BYTES + 300_000);
      writeFileSync(at(name), content);
      stamp(name);
      await bench.backup(name);
      await sent();
      const wrong: string[] = [];
      const namedBefore = (await lost()).length;
      for (const { edit, seed, size, place, rests } of steps) {
        if (edit.startsWith('edit'))
          bytes(seed, Math.min(size, 5000)).copy(content, Math.floor(place * content.length));
        if (edit.endsWith('append')) content = Buffer.concat([content, bytes(seed + 1, size)]);
        if (edit === 'cut') content = content.subarray(0, Math.max(1, content.length - size));
        content = Buffer.from(content);
        const descriptor = openSync(at(name), 'r+');
        writeSync(descriptor, content, 0, content.length, 0);
        closeSync(descriptor);
        truncateSync(at(name), content.length);
        stamp(name);
        await bench.backup(name);
        if (rests) {
          rest();
          await bench.backup(name);
        }
        for (const version of await sent()) {
          if (hash(version.content) === hash(content)) continue;
          expect(version.entry.completion).toBe('growing');
          wrong.push(edit);
        }
      }
      rest();
      await bench.backup(name);
      const [last] = await sent();
      if (last !== undefined) expect(hash(last.content)).toBe(hash(content));
      if (wrong.length > 0) expect((await lost()).length).toBeGreaterThan(namedBefore);
    }),
    { numRuns: 3, endOnFailure: true },
  );
});
