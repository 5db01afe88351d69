import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MAX_RELEASE_DATA_BYTES } from '@aliquot/proto';
import { hex } from '@aliquot/shared/crypto/bytes';
import { sha256 } from '@aliquot/shared/crypto/primitives';
import { type FilePort, nodeFiles } from '@aliquot/shared/durable/file-port';
import { FIXTURE_TIME_MS } from '@aliquot/shared/testing/keys/fixtures';
import { Vendor } from '@aliquot/shared/testing/release/vendor';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ReleaseShelf } from './shelf.ts';

const roomy: FilePort = { ...nodeFiles, freeBytes: async () => 2 ** 40 };
let dir: string;
let shelf: ReleaseShelf;
let vendor: Vendor;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'aliquot-shelf-'));
  shelf = new ReleaseShelf(roomy, dir);
  vendor = new Vendor(FIXTURE_TIME_MS);
});
afterEach(() => rmSync(dir, { recursive: true }));

const version = (name: string, node = 'node 24') =>
  vendor.release(
    {
      version: name,
      platform: 'linux-x64',
      node: Buffer.from(node),
      nodeVersion: `${node.length}.0.0`,
      files: { 'aliquot-agent*': name },
    },
    FIXTURE_TIME_MS,
  );
const named = (files: ReadonlyMap<string, Buffer>) =>
  [...files].map(([name, bytes]) => ({ name, size: bytes.length, sha256: hex(sha256(bytes)) }));

async function add(files: ReadonlyMap<string, Buffer>, of = shelf): Promise<string[]> {
  for (const bytes of files.values()) await of.putPart(hex(sha256(bytes)), 0, bytes);
  return of.publish(named(files));
}

describe('the shelf of releases', () => {
  it('hands out what it was given, byte for byte, in parts from any offset', async () => {
    const files = version('0.2.0', 'n'.repeat(2 * MAX_RELEASE_DATA_BYTES));
    expect(await add(files)).toEqual(['0.2.0']);
    for (const [name, bytes] of files) {
      const parts: Uint8Array[] = [];
      for (let at = 0; at < bytes.length; at += parts.at(-1)?.length ?? 1) {
        const part = await shelf.read(name, at);
        expect(part?.size).toBe(bytes.length);
        expect(part?.bytes.length).toBeLessThanOrEqual(MAX_RELEASE_DATA_BYTES);
        parts.push(part?.bytes ?? new Uint8Array(1));
      }
      expect(Buffer.concat(parts).equals(bytes)).toBe(true);
      expect((await shelf.read(name, bytes.length + 5))?.bytes).toHaveLength(0);
    }
    expect(await shelf.read('metadata/9.root.json', 0)).toBeUndefined();
    expect(await shelf.read('../collector.json', 0)).toBeUndefined();
  });

  it('lists releases newest first, also after a restart, and knows what need not be sent again', async () => {
    const first = version('0.9.0');
    await add(first);
    const second = version('0.10.0');
    const targets = named(first).filter(({ name }) => name.startsWith('targets/'));
    expect(await shelf.kept(named(second).map(({ sha256: hash }) => hash))).toEqual(
      expect.arrayContaining(targets.map(({ sha256: hash }) => hash)),
    );
    expect(await add(second)).toEqual(['0.10.0']);
    const list = await new ReleaseShelf(roomy, dir).list();
    expect(list.map(({ version: name, platforms, whole }) => [name, platforms, whole])).toEqual([
      ['0.10.0', ['linux-x64'], true],
      ['0.9.0', ['linux-x64'], true],
    ]);
    expect(await add(second)).toEqual([]);
  });

  it('goes on with a file that arrived in part, and takes none out of order', async () => {
    const bytes = Buffer.alloc(5000, 7);
    const hash = hex(sha256(bytes));
    expect(await shelf.putPart(hash, 0, bytes.subarray(0, 2000))).toBe(2000);
    expect(await shelf.putPart(hash, 3000, bytes.subarray(3000))).toBe(2000);
    expect(await shelf.putPart(hash, 2000, bytes.subarray(2000))).toBe(5000);
  });

  it('publishes nothing of a release of which a file did not arrive whole', async () => {
    const files = version('0.2.0');
    for (const [name, bytes] of files)
      await shelf.putPart(
        hex(sha256(bytes)),
        0,
        name.startsWith('targets/') ? bytes.subarray(1) : bytes,
      );
    await expect(shelf.publish(named(files))).rejects.toMatchObject({ code: 'RELEASE_BROKEN' });
    expect(await shelf.list()).toEqual([]);
  });

  it('keeps what it has when another vendor, or an altered list, comes under the same names', async () => {
    const own = version('0.2.0');
    await add(own);
    const other = new Vendor(FIXTURE_TIME_MS);
    const theirs = other.release(
      { version: '0.3.0', platform: 'linux-x64', node: Buffer.from('n'), files: { x: 'y' } },
      FIXTURE_TIME_MS,
    );
    await expect(add(theirs)).rejects.toMatchObject({ code: 'RELEASE_CONFLICT' });
    for (const [name, bytes] of own)
      expect(Buffer.from((await shelf.read(name, 0))?.bytes ?? []).equals(bytes)).toBe(true);
  });

  it('removes a version, and a Node that no other release needs', async () => {
    await add(version('0.1.0', 'node 22'));
    await add(version('0.2.0', 'node 24.'));
    await add(version('0.3.0', 'node 24.'));
    await shelf.remove('0.2.0');
    expect((await shelf.list()).map(({ version: name, whole }) => [name, whole])).toEqual([
      ['0.3.0', true],
      ['0.1.0', true],
    ]);
    await shelf.remove('0.3.0');
    expect((await shelf.list()).map(({ version: name, whole }) => [name, whole])).toEqual([
      ['0.1.0', true],
    ]);
    await expect(shelf.remove('0.3.0')).rejects.toMatchObject({
      code: 'RELEASE_UNKNOWN',
      message: expect.stringContaining('it has: 0.1.0'),
    });
  });

  it('takes nothing while the disk has no room for what PCs capture', async () => {
    const full = new ReleaseShelf({ ...nodeFiles, freeBytes: async () => 2 ** 29 }, dir);
    await expect(full.putPart('a'.repeat(64), 0, Buffer.alloc(10))).rejects.toMatchObject({
      code: 'RELEASE_NO_ROOM',
    });
  });

  /** A list that nobody verified, as anyone who has the operator's token can publish it. */
  const listed = (program: string, node: string, padding = '') => {
    const about = { target: node, file: 'node', bytes: 1, sha256: 'b'.repeat(64) };
    const custom = {
      part: 'program',
      platform: 'linux-x64',
      version: '0.2.0',
      unpackedBytes: 1,
      node: about,
    };
    const list = {
      version: 1,
      expires: '',
      targets: { [program]: { length: 1, hashes: { sha256: 'a'.repeat(64) }, custom } },
    };
    const lists = {
      'timestamp.json': { expires: '', meta: { 'snapshot.json': { version: 1 } } },
      '1.snapshot.json': { meta: { 'targets.json': { version: 1 } } },
      '1.targets.json': list,
    };
    return new Map(
      Object.entries(lists).map(([name, signed]) => [
        `metadata/${name}`,
        Buffer.from(JSON.stringify({ signed }) + padding),
      ]),
    );
  };
  const node = 'node-24.0.0-linux-x64.tar.zst';

  it('removes nothing outside of its folder, whatever a list names', async () => {
    writeFileSync(join(dir, 'pack'), 'x');
    await add(listed('x/../../../pack', node));
    expect(await shelf.list()).toEqual([]);
    await expect(shelf.remove('0.2.0')).rejects.toMatchObject({ code: 'RELEASE_UNKNOWN' });
    expect(existsSync(join(dir, 'pack'))).toBe(true);
  });

  it.each([
    ['program-\0', node],
    ['program-0.2.0-linux-x64.tar.zst', 'constructor'],
    ['program-0.2.0-linux-x64.tar.zst', '__proto__'],
  ])('reads no release from a list that names %j and %j', async (program, other) => {
    await add(listed(program, other));
    expect(await shelf.list()).toEqual([]);
  });

  it('takes no list that it could not read afterwards', async () => {
    const large = listed(
      'program-0.2.0-linux-x64.tar.zst',
      node,
      ' '.repeat(MAX_RELEASE_DATA_BYTES),
    );
    await expect(add(large)).rejects.toMatchObject({
      code: 'RELEASE_BROKEN',
      message: expect.stringContaining('1024 KiB'),
    });
    expect(await add(version('0.2.0'))).toEqual(['0.2.0']);
  });
});
