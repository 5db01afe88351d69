import { createHash } from 'node:crypto';
import {
  closeSync,
  linkSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { AliquotError, asChunkId, asVaultId, type ChunkId } from '@aliquot/proto';
import { beforeEach, expect, it } from 'vitest';
import { temporaryFolder } from '../../testing/temp.ts';
import { encode } from '../content/codec.ts';
import { itemHeader } from '../content/seal.ts';
import { hex } from '../crypto/bytes.ts';
import { aeadSeal, hmacSha256, sha256, ZERO_NONCE } from '../crypto/primitives.ts';
import { type FilePort, nodeFiles } from '../durable/file-port.ts';
import { systemRandom } from '../ports.ts';
import type { FetchedItem } from './arrivals.ts';
import type { RestoreItem } from './placing.ts';
import { restoreFiles } from './restore-files.ts';
import { RestoreWriter } from './writer.ts';

const vaultId = asVaultId(Buffer.alloc(16, 7));
const CHUNK = 1 << 20;
const CHUNKS = 20;

class Cut extends AliquotError<'CUT'> {}

/** A file of chunks that do not shrink, and what holds them. */
function makeFile(path: string, withHash = true) {
  const items = new Map<string, Uint8Array>();
  const plain = Buffer.from(systemRandom.bytes(CHUNK * CHUNKS));
  const sealed = Array.from({ length: CHUNKS }, (_, at) => {
    const encoded = encode(plain.subarray(at * CHUNK, (at + 1) * CHUNK), 1);
    const key = hmacSha256(Buffer.alloc(32, 1), encoded);
    const bytes = aeadSeal(key, ZERO_NONCE, encoded, itemHeader('chunk', vaultId));
    const id = asChunkId(sha256(bytes));
    items.set(hex(id), bytes);
    return { ref: { id, plainSize: CHUNK, epoch: 1 }, key };
  });
  const item: RestoreItem = {
    entry: {
      kind: 'file',
      size: plain.length,
      content: { depth: 0, piece: 0, refs: sealed.map(({ ref }) => ref) },
    },
    list: {
      platform: 'posix',
      path: Buffer.from(path),
      resultPathLength: 0,
      mtimeNs: 0n,
      mode: 0o644,
      attributes: 0,
      linkTarget: new Uint8Array(0),
    },
    read: {
      sha256: withHash ? createHash('sha256').update(plain).digest() : new Uint8Array(0),
      keys: sealed.map(({ key }) => key),
    },
  };
  return { item, items, plain };
}

let root: string;
let pid = 100;
/** How many items the last restore asked for and got. */
let fetched = 0;
/** How many bytes it wrote. */
let written = 0;

/** Restores a file in a process of its own, which dies when it is cut. */
async function restore(
  { item, items }: Pick<ReturnType<typeof makeFile>, 'item' | 'items'>,
  cutAfter = Number.POSITIVE_INFINITY,
): Promise<unknown> {
  pid += 1;
  const run = { place: '0123abcd', pid, isAlive: (other: number) => other === pid };
  const port: FilePort = {
    ...nodeFiles,
    open: async (path, mode, permissions) => {
      const file = await nodeFiles.open(path, mode, permissions);
      const write = file.write.bind(file);
      return Object.assign(file, {
        write: (bytes: Uint8Array, position: number) => {
          written += bytes.length;
          return write(bytes, position);
        },
      });
    },
  };
  const writer = await RestoreWriter.open({ port, random: systemRandom, root, run });
  [fetched, written] = [0, 0];
  const failures: string[] = [];
  const fetchItems = async function* (ids: readonly ChunkId[]): AsyncGenerator<FetchedItem> {
    for (const id of ids) {
      if (fetched >= cutAfter) throw new Cut('CUT', 'the connection is gone');
      fetched += 1;
      const bytes = items.get(hex(id));
      if (bytes !== undefined) yield { id, bytes };
    }
  };
  try {
    const onFailure = (_path: unknown, error: Error) => void failures.push(error.message);
    const summary = await restoreFiles([item], { vaultId, fetchItems, writer, onFailure });
    return { ...summary, failures };
  } catch (error) {
    return error instanceof Cut ? 'cut' : error;
  }
}

const parts = () => readdirSync(root).filter((name) => name.endsWith('.part'));
const part = () => join(root, parts()[0] ?? 'none');
const whole = { files: 1, failed: 0, failures: [] };

beforeEach(() => {
  root = temporaryFolder();
});

it('P2: a restore that was cut goes on inside of a large file, and asks for what is missing only', async () => {
  const file = makeFile('/x');
  expect(await restore(file, 12)).toBe('cut');
  expect(readdirSync(root)).toEqual([expect.stringMatching(/^\.aq-0123abcd-\d+-\w{12}\.part$/)]);
  expect(await restore(file, 4)).toBe('cut');
  expect(await restore(file)).toMatchObject(whole);
  expect(fetched).toBeLessThanOrEqual(CHUNKS - 12);
  expect(readFileSync(join(root, 'x')).equals(file.plain)).toBe(true);
  expect(readdirSync(root)).toEqual(['x']);
});

it('P2 D3: it writes again what it goes on with, because a flush of that may have failed', async () => {
  const file = makeFile('/x');
  expect(await restore(file, 12)).toBe('cut');
  expect(await restore(file)).toMatchObject(whole);
  expect(fetched).toBeLessThan(CHUNKS);
  expect(written).toBe(file.plain.length);
});

it('P2: it goes on with what was written only as far as whole chunks go', async () => {
  const file = makeFile('/x');
  expect(await restore(file, 12)).toBe('cut');
  truncateSync(part(), 9 * CHUNK + 12_345);
  expect(await restore(file)).toMatchObject(whole);
  expect(fetched).toBe(CHUNKS - 9);
  expect(readFileSync(join(root, 'x')).equals(file.plain)).toBe(true);
});

it.each([
  ['a byte in the middle', (path: string) => change(path, 5 * CHUNK)],
  ['the first byte', (path: string) => change(path, 0)],
  ['all of it', (path: string) => writeFileSync(path, Buffer.alloc(12 * CHUNK, 1))],
])('P2: nothing of a part is believed: with %s changed the file comes whole', async (_, harm) => {
  const file = makeFile('/x');
  expect(await restore(file, 12)).toBe('cut');
  harm(part());
  expect(await restore(file)).toMatchObject(whole);
  expect(readFileSync(join(root, 'x')).equals(file.plain)).toBe(true);
  expect(readdirSync(root)).toEqual(['x']);
});

it.runIf(process.platform !== 'win32')(
  'P2: what is behind a part that is a link, or has another name, is not written',
  async () => {
    const file = makeFile('/x');
    for (const trick of [
      (name: string, mine: string) => symlinkSync(mine, name),
      (name: string, mine: string) => linkSync(mine, name),
    ]) {
      root = temporaryFolder();
      expect(await restore(file, 12)).toBe('cut');
      const name = part();
      const mine = join(temporaryFolder(), 'mine');
      renameSync(name, mine);
      const content = readFileSync(mine);
      trick(name, mine);
      expect(await restore(file)).toMatchObject(whole);
      expect(readFileSync(mine).equals(content)).toBe(true);
      expect(readFileSync(join(root, 'x')).equals(file.plain)).toBe(true);
      expect(readdirSync(root)).toEqual(['x']);
    }
  },
);

it('P2: the part of another file, or of another version, is taken away when it is not gone on with', async () => {
  expect(await restore(makeFile('/x'), 12)).toBe('cut');
  const other = makeFile('/x');
  expect(await restore(other)).toMatchObject(whole);
  expect(fetched).toBe(CHUNKS);
  expect(readFileSync(join(root, 'x')).equals(other.plain)).toBe(true);
  expect(readdirSync(root)).toEqual(['x']);
});

it('P2: of a file without a hash of the whole no part is gone on with, for nothing would prove it', async () => {
  const file = makeFile('/x', false);
  expect(await restore(file, 12)).toBe('cut');
  expect(await restore(file)).toMatchObject(whole);
  expect(fetched).toBe(CHUNKS);
  expect(readdirSync(root)).toEqual(['x']);
});

it('P2: a small part is taken away at once', async () => {
  expect(await restore(makeFile('/x'), 5)).toBe('cut');
  expect(readdirSync(root)).toEqual([]);
});

it('P2: a file that cannot be had whole is named, also behind a part that could', async () => {
  const file = makeFile('/x');
  expect(await restore(file, 12)).toBe('cut');
  const lost = file.item.entry.content.refs.at(-1)?.id as ChunkId;
  file.items.delete(hex(lost));
  const done = await restore(file);
  expect(done).toMatchObject({ files: 0, failed: 1 });
  expect(done).toMatchObject({ failures: [expect.stringContaining('was not delivered')] });
  expect(readdirSync(root)).toEqual([]);
});

function change(path: string, at: number): void {
  const file = openSync(path, 'r+');
  const byte = Buffer.from([(readFileSync(path)[at] ?? 0) ^ 1]);
  writeSync(file, byte, 0, 1, at);
  closeSync(file);
}
