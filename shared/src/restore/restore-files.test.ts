import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { AliquotError, type ChunkId } from '@aliquot/proto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Fate, faultyFiles } from '../../testing/faulty-files.ts';
import { restoreFrom, Shelf } from '../../testing/shelf.ts';
import { hex } from '../crypto/bytes.ts';
import { nodeFiles } from '../durable/file-port.ts';
import { MAX_FETCH_IDS } from './plan.ts';

const bytes = (text: string) => Buffer.from(text);
const pieces = (count: number) => Array.from({ length: count }, (_, at) => bytes(`piece ${at};`));

describe.runIf(process.platform !== 'win32')('restoring files', () => {
  it('P2: gives back files of any number of chunks, repeated ones included, folders and links', async () => {
    const shelf = new Shelf();
    const repeated = [bytes('aa'), bytes('bb'), bytes('aa'), bytes('aa')];
    const items = [
      shelf.seal('/d', [], 'directory'),
      shelf.seal('/d/empty', []),
      shelf.seal('/d/small', [bytes('hello')]),
      shelf.seal('/d/repeated', repeated),
      shelf.seal('/d/gone', [], 'gone'),
      shelf.seal('/d/link', [], 'symlink'),
      shelf.seal('/d/paged', pieces(5000)),
    ];
    const seen: number[] = [];
    const { root, summary, failures } = await restoreFrom(shelf, items, {
      onProgress: ({ bytes: done }) => seen.push(done),
    });
    const big = Buffer.concat(pieces(5000));
    expect(failures).toEqual([]);
    expect(summary).toEqual({
      files: 4,
      same: 0,
      growing: 0,
      directories: 1,
      links: 1,
      bytes: 5 + 8 + big.length,
      failed: 0,
    });
    expect(readdirSync(join(root, 'd')).sort()).toEqual([
      'empty',
      'link',
      'paged',
      'repeated',
      'small',
    ]);
    expect(readFileSync(join(root, 'd/paged'))).toEqual(big);
    expect(readFileSync(join(root, 'd/repeated'), 'utf8')).toBe('aabbaaaa');
    expect(seen.at(-1)).toBe(13 + big.length);
    expect(Math.max(...shelf.asked)).toBeLessThanOrEqual(MAX_FETCH_IDS);
  });

  it('asks once for many small files', async () => {
    const shelf = new Shelf();
    const items = Array.from({ length: 300 }, (_, at) =>
      shelf.seal(`/f${at}`, [bytes(`content ${at}`)]),
    );
    const { summary } = await restoreFrom(shelf, items);
    expect(summary).toMatchObject({ files: 300 });
    expect(shelf.asked).toEqual([300]);
  });

  it('flushes sixteen small files side by side, never more, and none gets its name before its flush', async () => {
    const shelf = new Shelf();
    const items = Array.from({ length: 64 }, (_, at) =>
      shelf.seal(`/d/f${at}`, [bytes(`content ${at}`)]),
    );
    let open = 0;
    let most = 0;
    let waiting: (() => void)[] = [];
    const port: typeof nodeFiles = {
      ...nodeFiles,
      open: async (path, mode, permissions) => {
        const file = await nodeFiles.open(path, mode, permissions);
        if (mode === 'held') return file;
        most = Math.max(most, ++open);
        const gathered = () =>
          new Promise<void>((resolve) => {
            waiting.push(resolve);
            if (waiting.length < 16) return;
            for (const go of waiting) go();
            waiting = [];
          });
        return {
          read: file.read.bind(file),
          write: file.write.bind(file),
          datasync: file.datasync.bind(file),
          truncate: file.truncate.bind(file),
          facts: file.facts.bind(file),
          chmod: file.chmod.bind(file),
          setTimes: file.setTimes.bind(file),
          sync: async () => {
            await gathered(); // only sixteen at once get through
            await file.sync();
          },
          close: async () => {
            open -= 1;
            await file.close();
          },
        };
      },
    };
    const { root, summary } = await restoreFrom(shelf, items, { port });
    expect(summary).toMatchObject({ files: 64, failed: 0 });
    expect(most).toBe(16);
    expect(readdirSync(join(root, 'd'))).toHaveLength(64);
    for (let at = 0; at < 64; at++)
      expect(readFileSync(join(root, 'd', `f${at}`), 'utf8')).toBe(`content ${at}`);
  });

  it('P2: names each file whose chunk or page is missing or damaged, and gives back the others', async () => {
    const shelf = new Shelf();
    const items = ['/lost', '/good', '/rotten', '/pageless', '/last'].map((path) =>
      shelf.seal(
        path,
        pieces(path === '/pageless' ? 100 : 2).map((p) => Buffer.concat([bytes(path), p])),
      ),
    );
    const idAt = (file: number, ref: number) =>
      hex(items[file]?.entry.content.refs[ref]?.id as ChunkId);
    shelf.items.delete(idAt(0, 1));
    shelf.items.set(idAt(2, 0), bytes('rot'));
    shelf.items.delete(idAt(3, 0));
    const { root, summary, failures } = await restoreFrom(shelf, items);
    expect(failures.sort()).toEqual([
      '/lost RESTORE_MISSING_CHUNK',
      '/pageless RESTORE_MISSING_CHUNK',
      '/rotten RESTORE_DAMAGED',
    ]);
    expect(summary).toMatchObject({ files: 2, failed: 3 });
    expect(readdirSync(root).sort()).toEqual(['good', 'last']);
  });

  it('P2 P6: asks again for a chunk whose bytes are not what its id stands for, once', async () => {
    const shelf = new Shelf();
    const items = ['/mended', '/rotten'].map((path) => shelf.seal(path, [bytes(path)]));
    const ids = items.map(({ entry }) => entry.content.refs[0]?.id as ChunkId);
    const sound = new Map(shelf.items);
    for (const id of ids) shelf.items.set(hex(id), bytes('rot'));
    const again: string[] = [];
    const fetchAgain = async (id: ChunkId) => {
      again.push(hex(id));
      return again.length === 1 ? sound.get(hex(id)) : bytes('rot');
    };
    const { root, failures } = await restoreFrom(shelf, items, { fetchAgain });
    expect(failures).toEqual(['/rotten RESTORE_DAMAGED']);
    expect(readFileSync(join(root, 'mended'), 'utf8')).toBe('/mended');
    expect(again).toEqual(ids.map(hex));
  });

  it('P2 P6: asks again for a page whose bytes are not what its id stands for', async () => {
    const shelf = new Shelf();
    const items = ['/mended', '/rotten'].map((path) =>
      shelf.seal(
        path,
        pieces(100).map((piece) => Buffer.concat([bytes(path), piece])),
      ),
    );
    const sound = new Map(shelf.items);
    const [mended, rotten] = items.map(({ entry }) => entry.content.refs[0]?.id as ChunkId);
    for (const id of [mended, rotten]) shelf.items.set(hex(id as ChunkId), bytes('rot'));
    const again: ChunkId[] = [];
    const fetchAgain = async (id: ChunkId) => {
      again.push(id);
      return id === rotten ? undefined : sound.get(hex(id));
    };
    const { root, failures } = await restoreFrom(shelf, items, { fetchAgain });
    expect(failures).toEqual(['/rotten RESTORE_DAMAGED']);
    expect(readdirSync(root)).toEqual(['mended']);
    expect(again).toEqual([mended, rotten]);
  });

  it('P2: notices a file whose whole hash is another although every chunk opens', async () => {
    const shelf = new Shelf();
    const item = shelf.seal('/x', [bytes('one')]);
    const wrong = { ...item, read: { sha256: Buffer.alloc(32), keys: item.read?.keys ?? [] } };
    const { root, failures } = await restoreFrom(shelf, [wrong]);
    expect(failures).toEqual(['/x RESTORE_DAMAGED']);
    expect(readdirSync(root)).toEqual([]);
  });

  it('P2: names a path that would leave the target', async () => {
    const shelf = new Shelf();
    const { failures, summary } = await restoreFrom(shelf, [
      shelf.seal('/a/../../etc/passwd', [bytes('x')]),
      shelf.seal('/b', [bytes('y')]),
    ]);
    expect(failures).toEqual(['/a/../../etc/passwd RESTORE_BAD_PATH']);
    expect(summary).toMatchObject({ files: 1, failed: 1 });
  });

  it('P2: a full disk ends the restore with one clear error; finished files stay, partial ones do not', async () => {
    const shelf = new Shelf();
    let writes = 0;
    const port = faultyFiles(nodeFiles, (step): Fate => {
      if (step.operation === 'write') writes += 1;
      return step.operation === 'write' && writes > 2 ? { fail: 'ENOSPC' } : undefined;
    });
    const items = ['/a', '/b', '/c', '/d'].map((path) => shelf.seal(path, [bytes(path)]));
    const { root, summary } = await restoreFrom(shelf, items, { port });
    expect(summary).toMatchObject({ code: 'RESTORE_NO_SPACE' });
    const left = readdirSync(root);
    for (const name of left) expect(readFileSync(join(root, name), 'utf8')).toBe(`/${name}`);
    expect(left.length).toBeLessThanOrEqual(2);
  });

  it('P2: a connection that ends takes unfinished files with it', async () => {
    class Cut extends AliquotError<'CUT'> {}
    const shelf = new Shelf();
    const items = [shelf.seal('/a', [bytes('a')]), shelf.seal('/b', pieces(2000))];
    let calls = 0;
    const fetchItems = async function* (ids: readonly ChunkId[]) {
      calls += 1;
      if (calls > 3) throw new Cut('CUT', 'gone');
      yield* shelf.fetch(ids);
    };
    const { root, summary } = await restoreFrom(shelf, items, { fetchItems });
    expect(summary).toMatchObject({ code: 'CUT' });
    expect(readdirSync(root).filter((name) => name !== 'a')).toEqual([]);
  });

  it('P2: gives back any content in any cuts', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(fc.uint8Array({ minLength: 1, maxLength: 50 }), { maxLength: 80 }), {
          maxLength: 6,
        }),
        async (contents) => {
          const shelf = new Shelf();
          const { root, summary } = await restoreFrom(
            shelf,
            contents.map((content, at) => shelf.seal(`/f${at}`, content)),
          );
          expect(summary).toMatchObject({ files: contents.length, failed: 0 });
          for (const [at, content] of contents.entries())
            expect(readFileSync(join(root, `f${at}`))).toEqual(Buffer.concat(content));
        },
      ),
      { numRuns: 25 },
    );
  });
});
