import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { NO_EARLIER_FOLDERS, notUnderWine } from '@aliquot/shared/testing/platform';
import { temporaryFolder } from '@aliquot/shared/testing/temp';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { fromText } from '../source/paths.ts';
import type { Subscription } from './event-port.ts';
import { recursiveEvents } from './recursive-events.ts';

let root: string;
let told: Set<string>;
let ended: string[];
let subscription: Subscription;

beforeEach(() => {
  root = join(temporaryFolder(), 'data');
  mkdirSync(join(root, 'a/b'), { recursive: true });
  told = new Set();
  ended = [];
  subscription = recursiveEvents.subscribe(
    { root: fromText(root, '/'), excluded: () => false },
    {
      paths: (paths) => {
        for (const path of paths) told.add(path);
      },
      opened: () => undefined,
      lost: () => undefined,
      limited: () => undefined,
      ended: (because) => void ended.push(because),
    },
  );
});
afterEach(() => subscription.close());

// Linux uses its own way; Node's recursion is there too, and shows how names are put together.
test.runIf(notUnderWine(NO_EARLIER_FOLDERS))(
  'one watch names what changes anywhere below, by whole paths',
  async () => {
    writeFileSync(join(root, 'a/b/ä'), '1');
    await vi.waitFor(() => expect([...told]).toContain(fromText(join(root, 'a/b/ä'), '/')), {
      timeout: 240_000,
    });
    rmSync(join(root, 'a/b/ä'));
    writeFileSync(join(root, 'top'), '1');
    await vi.waitFor(() => expect([...told]).toContain(fromText(join(root, 'top'), '/')), {
      timeout: 240_000,
    });
    expect(subscription.met(fromText(root, '/'), { ino: 1n } as never)).toBe(false);
    expect(ended).toEqual([]);
  },
);
