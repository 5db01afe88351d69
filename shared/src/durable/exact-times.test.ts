import { lstatSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { nodeFiles } from './file-port.ts';

const folder = mkdtempSync(join(tmpdir(), 'aliquot-times-'));
afterAll(() => rmSync(folder, { recursive: true }));
const wishes = [
  1792895400_123456789n,
  1n,
  999n,
  0n,
  -1n,
  -999_999_999n,
  -1_000_000_001n,
  -462_653_694_500_000_001n,
  4354819198_000000001n,
  2n ** 63n - 1n,
];

test.runIf(process.platform === 'linux').each(wishes)(
  '%s ns is kept to the nanosecond, by name, through an open file, and for a link itself',
  async (ns) => {
    const path = join(folder, "a 'name'\nof\\two lines \u00e4");
    writeFileSync(path, 'x');
    await nodeFiles.setLinkTimes(path, ns, ns);
    expect(lstatSync(path, { bigint: true }).mtimeNs).toBe(ns);
    await nodeFiles.setLinkTimes(path, 5n, 5n);
    const file = await nodeFiles.open(path, 'update');
    await file.setTimes(ns, ns);
    await file.close();
    expect(lstatSync(path, { bigint: true }).mtimeNs).toBe(ns);
    const link = join(folder, `link${ns}`);
    rmSync(link, { force: true });
    symlinkSync(path, link);
    const before = lstatSync(path, { bigint: true }).mtimeNs;
    await nodeFiles.setLinkTimes(link, 7n, 7n);
    expect(lstatSync(link, { bigint: true }).mtimeNs).toBe(7n);
    expect(lstatSync(path, { bigint: true }).mtimeNs).toBe(before);
  },
);

test.runIf(process.platform === 'linux')('many at once each get their own', async () => {
  const paths = Array.from({ length: 300 }, (_, index) => join(folder, `many${index}`));
  for (const path of paths) writeFileSync(path, '');
  await Promise.all(
    paths.map((path, index) =>
      nodeFiles.setLinkTimes(
        path,
        1792895400_000000001n + BigInt(index),
        0n + 1792895400_000000001n + BigInt(index),
      ),
    ),
  );
  expect(
    paths.map((path) => Number(lstatSync(path, { bigint: true }).mtimeNs % 1_000_000n)),
  ).toEqual(paths.map((_, index) => index + 1));
});
