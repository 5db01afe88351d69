import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LocalHost } from '../../agent/src/capture/host.ts';
import { bytePath } from '../../agent/src/source/paths.ts';
import { nodeSource } from '../../agent/src/source/source-port.ts';
import { cacheSecret, keys } from '../../agent/testing/queue/support.ts';
import { defaultFolderResults } from '../../shared/src/settings/defaults.ts';
import type { MicroTask } from './task.ts';

const FILES = 20_000;
const EACH_FOLDER = 500;

/** Listing and looking at files in many folders: what a scan does before it compares. */
export const scan: MicroTask = {
  name: 'scan',
  unit: 'items/s',
  async open() {
    const root = mkdtempSync(join(tmpdir(), 'aliquot-scan-'));
    for (let at = 0; at < FILES; at += 1) {
      const folder = join(root, `run-${Math.floor(at / EACH_FOLDER)}`);
      if (at % EACH_FOLDER === 0) mkdirSync(folder);
      writeFileSync(join(folder, `result-${at}.csv`), '');
    }
    const host = new LocalHost(
      nodeSource,
      { vault: keys, cacheSecret },
      { nowMs: () => 0 },
      async () => undefined,
    );
    const path = bytePath(Buffer.from(root));
    const request = {
      root: path,
      sourceRoot: path,
      rules: { exclude: [], folderResults: [...defaultFolderResults], leaveOut: [] },
    };
    return {
      async run() {
        let found = 0;
        for await (const batch of host.walk(request)) found += batch.length;
        return found;
      },
      async close() {
        await host.close();
        rmSync(root, { recursive: true, force: true });
      },
    };
  },
};
