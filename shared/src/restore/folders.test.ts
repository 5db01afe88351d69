import { mkdirSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { temporaryFolder } from '../../testing/temp.ts';
import { type FilePort, nodeFiles } from '../durable/file-port.ts';
import { TargetFolders } from './folders.ts';
import { thisRun } from './leftovers.ts';
import { targetFiles } from './target-files.ts';

test('P1: every folder that was there before is made durable at the end, however many they are', async () => {
  const root = realpathSync(temporaryFolder());
  const names = Array.from({ length: 64 * 65 }, (_, at) => join(root, `${at % 65}`, `${at}`));
  for (const name of names) mkdirSync(name, { recursive: true });
  const synced = new Set<string>();
  const port: FilePort = {
    ...nodeFiles,
    syncDirectory: async (path) => void synced.add(realpathSync(path).toString()),
  };
  const folders = new TargetFolders(targetFiles(port, []), Buffer.from(root), thisRun());
  for (const name of names) await folders.enter(Buffer.from(name));
  expect(await folders.finish(() => expect.unreachable('nothing fails here'))).toEqual([]);
  expect([root, ...names].filter((name) => !synced.has(name))).toEqual([]);
});
