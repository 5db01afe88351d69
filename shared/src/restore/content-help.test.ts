import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { MessageChannel } from 'node:worker_threads';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { restoreFrom, Shelf, vaultId } from '../../testing/shelf.ts';
import { hex } from '../crypto/bytes.ts';
import { systemRandom } from '../ports.ts';
import { giveHelp, ThreadHelper } from './content-help.ts';

const CHUNK = 1 << 20;
let channel: MessageChannel;

beforeEach(() => {
  channel = new MessageChannel();
});

afterEach(() => {
  channel.port1.close();
  channel.port2.close();
});

/** A shelf with a file that is large enough to be shared, and the shelf of who helps. */
function large() {
  const chunks = Array.from({ length: 24 }, () => systemRandom.bytes(CHUNK));
  const [own, helping] = [new Shelf(), new Shelf()];
  const item = own.seal('/large', chunks);
  helping.seal('/large', chunks);
  giveHelp(channel.port2, { vaultId, fetchItems: helping.fetch });
  return { own, helping, item, plain: Buffer.concat(chunks) };
}

it('P2: a large file is shared with who helps, and comes back whole', async () => {
  const { own, helping, item, plain } = large();
  const helper = new ThreadHelper(channel.port1);
  const { root, failures } = await restoreFrom(own, [item], { helper });
  expect(failures).toEqual([]);
  expect(readFileSync(join(root, 'large')).equals(plain)).toBe(true);
  const sum = (asked: readonly number[]) => asked.reduce((total, count) => total + count, 0);
  expect(sum(own.asked) + sum(helping.asked)).toBe(24);
  expect(sum(helping.asked)).toBeGreaterThan(sum(own.asked));
});

it('P2: small files beside large ones come back, whatever batch they share', async () => {
  // Which batches are opened elsewhere depends on how many there were before.
  for (const count of [16, 20, 24]) {
    const file = (path: string, bytes: number, chunks = 1) =>
      [path, Array.from({ length: chunks }, () => systemRandom.bytes(bytes))] as const;
    const files = [
      file('/large', CHUNK, count),
      ...[file('/small-1', 100), file('/small-2', 100)],
      file('/larger', CHUNK, 18),
      file('/small-3', 100),
    ];
    const [own, helping] = [new Shelf(), new Shelf()];
    const items = files.map(([path, content]) => own.seal(path, content));
    for (const [path, content] of files) helping.seal(path, content);
    const { port1, port2 } = new MessageChannel();
    giveHelp(port2, { vaultId, fetchItems: helping.fetch });
    const helper = new ThreadHelper(port1);
    const { root, failures } = await restoreFrom(own, items, { helper });
    expect({ count, failures }).toEqual({ count, failures: [] });
    for (const [path, content] of files)
      expect(readFileSync(join(root, path)).equals(Buffer.concat(content))).toBe(true);
    port1.close();
  }
});

it('P2: what who helps lacks, or has rotten, is fetched by who writes', async () => {
  const { own, helping, item, plain } = large();
  const names = item.entry.content.refs.map(({ id }) => hex(id));
  for (const [at, name] of names.entries()) {
    if (at % 5 === 0) helping.items.delete(name);
    if (at % 5 === 1) helping.items.set(name, Buffer.from('rot'));
  }
  const helper = new ThreadHelper(channel.port1);
  const { root, failures } = await restoreFrom(own, [item], { helper });
  expect(failures).toEqual([]);
  expect(readFileSync(join(root, 'large')).equals(plain)).toBe(true);
});

it('P2: what neither has is named, and no partial stays', async () => {
  const { own, helping, item } = large();
  const lost = hex(item.entry.content.refs[20]?.id ?? new Uint8Array(0));
  own.items.delete(lost);
  helping.items.delete(lost);
  const helper = new ThreadHelper(channel.port1);
  const { root, failures } = await restoreFrom(own, [item], { helper });
  expect(failures).toEqual(['/large RESTORE_MISSING_CHUNK']);
  expect(readdirSync(root)).toEqual([]);
});
