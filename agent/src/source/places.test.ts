import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { nodeFiles } from '@aliquot/shared/durable/file-port';
import { posixOnly } from '@aliquot/shared/testing/platform';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { temporaryFolder } from '../../testing/queue/support.ts';
import { PlaceBook, type PlaceIdentity } from './places.ts';

let folder: ReturnType<typeof temporaryFolder>;
beforeEach(() => {
  folder = temporaryFolder();
});
afterEach(() => folder.remove());

const open = () => PlaceBook.open(nodeFiles, folder.dir);
const identity: PlaceIdentity = {
  fileSystem: 'nfs4 nas:/export /',
  mount: true,
  isFolder: true,
  ino: 2n ** 63n + 1n,
  bornNs: 1_700_000_000_123_456_789n,
};

test.runIf(posixOnly('names there are no raw bytes, and their separator is another'))(
  'I-A13 places and links are there again after a restart, names of any bytes and numbers of any size',
  async () => {
    const book = await open();
    book.set('/data/m\u00ffs', { identity, heldAtEntry: undefined });
    book.set('/data', { identity: undefined, heldAtEntry: 7 });
    book.setTargets('/link', ['/old', '/new']);
    await book.save();
    const again = await open();
    expect(again.get('/data/m\u00ffs')).toEqual({ identity, heldAtEntry: undefined });
    expect(again.get('/data')).toEqual({ identity: undefined, heldAtEntry: 7 });
    expect(again.targets('/link')).toEqual(['/old', '/new']);
    expect(again.within('/data').sort()).toEqual(['/data', '/data/m\u00ffs']);
    expect(again.within('/data/m')).toEqual([]);
  },
);

test('what is forgotten stays forgotten', async () => {
  const book = await open();
  book.set('/data', { identity, heldAtEntry: undefined });
  book.setTargets('/link', ['/old']);
  await book.save();
  book.set('/data', undefined);
  book.setTargets('/link', []);
  await book.save();
  const again = await open();
  expect(again.get('/data')).toBeUndefined();
  expect(again.targets('/link')).toEqual([]);
});

for (const [what, text] of [
  ['no JSON', '{'],
  ['another version', '{"version":2,"places":[],"links":[]}'],
  ['an unknown field', '{"version":1,"places":[],"links":[],"x":1}'],
  [
    'no number',
    '{"version":1,"places":[{"path":"/a","identity":{"fileSystem":"","mount":false,"isFolder":true,"ino":"x","bornNs":"0"}}],"links":[]}',
  ],
] as const) {
  test(`a file with ${what} is as good as none`, async () => {
    writeFileSync(join(folder.dir, 'places.json'), text);
    expect((await open()).within('/')).toEqual([]);
  });
}
