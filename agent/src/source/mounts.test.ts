import { posixOnly } from '@aliquot/shared/testing/platform';
import { expect, test } from 'vitest';
import { mountOf, mountsNow, parseMounts } from './mounts.ts';

const TABLE = `22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
31 22 0:28 / /data/ms rw,relatime shared:5 master:1 - nfs4 nas:/export/ms rw,vers=4.2
40 22 254:0 /srv/old\\040runs /data/old\\040runs rw - ext4 /dev/vda1 rw
41 31 0:30 / /data/ms rw - tmpfs none rw
half a line
`;

test('mounts are read with kind, device and part; of two on one folder the last is seen', () => {
  expect([...parseMounts(TABLE)]).toEqual([
    ['/', 'ext4 /dev/vda1 /'],
    ['/data/ms', 'tmpfs none /'],
    ['/data/old runs', 'ext4 /dev/vda1 /srv/old runs'],
  ]);
});

test.runIf(posixOnly('on Windows nobody is asked for mounts'))(
  'a path lies on the innermost mount that holds it',
  () => {
    const mounts = parseMounts(TABLE);
    expect(mountOf(mounts, '/data/ms/run')).toBe('tmpfs none /');
    expect(mountOf(mounts, '/data/msx')).toBe('ext4 /dev/vda1 /');
  },
);

test.runIf(process.platform === 'linux')('this system’s own mounts can be read', async () => {
  expect((await mountsNow())?.has('/')).toBe(true);
});
