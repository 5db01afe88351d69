import { copyFileSync, existsSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { nodeDisk } from '@aliquot/shared/derived/node-level';
import { seededRandom } from '@aliquot/shared/testing/keys/fixtures';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  collect,
  drainAll,
  openQueue,
  put,
  sample,
  temporaryFolder,
} from '../../../testing/queue/support.ts';
import { fsckQueue } from './fsck.ts';
import { queuePaths } from './open-queue.ts';

let folder: ReturnType<typeof temporaryFolder>;
let mine: string;
let theirs: string;

/** A queue of a few segments, of which nothing is sent yet. */
async function filled(dir: string): Promise<void> {
  const queue = await openQueue(dir, { segmentBytes: 4096 });
  for (let index = 0; index < 8; index += 1) await put(queue, sample(`/data/${index}`, 2, 800));
  await queue.close();
}

beforeEach(async () => {
  folder = temporaryFolder();
  mine = join(folder.dir, 'mine');
  theirs = join(folder.dir, 'theirs');
  await filled(mine);
  await filled(theirs);
});

afterEach(() => folder.remove());

const segment = (dir: string, number: number): string =>
  join(queuePaths(dir).segments, `0000000${number}.seg`);

const fsck = (repair: boolean) =>
  collect(fsckQueue({ port: nodeDisk, dataDir: mine, random: seededRandom('fsck'), repair }));

describe('I-A6 a file of the queue that is not its own stops the agent in one line, and nothing is lost', () => {
  let newest = 0;
  beforeEach(() => {
    newest = 1;
    while (existsSync(segment(mine, newest + 1))) newest += 1;
    expect(newest).toBeGreaterThan(2);
  });

  const cases: Record<
    string,
    { readonly spoil: () => void; readonly mend: () => void; readonly says: RegExp }
  > = {
    'a segment that was doubled': {
      spoil: () => copyFileSync(segment(mine, 1), segment(mine, newest + 1)),
      mend: () => rmSync(segment(mine, newest + 1)),
      says: /holds queue segment 1: it was renamed or doubled; give it back its name/,
    },
    'a segment that was renamed': {
      spoil: () => renameSync(segment(mine, newest), segment(mine, newest + 1)),
      mend: () => renameSync(segment(mine, newest + 1), segment(mine, newest)),
      says: /holds queue segment \d: it was renamed or doubled; give it back its name/,
    },
    'a segment of another PC': {
      spoil: () => copyFileSync(segment(theirs, 1), segment(mine, newest + 1)),
      mend: () => rmSync(segment(mine, newest + 1)),
      says: /holds queue segment 1|belongs to another folder/,
    },
    'a segment of another PC in the place of an older one': {
      spoil: () => {
        renameSync(segment(mine, 2), join(mine, 'aside'));
        copyFileSync(segment(theirs, 2), segment(mine, 2));
      },
      mend: () => renameSync(join(mine, 'aside'), segment(mine, 2)),
      says: /belongs to another folder; put it back where it came from/,
    },
    'a segment of another PC in the place of the newest': {
      spoil: () => {
        renameSync(segment(mine, newest), join(mine, 'aside'));
        copyFileSync(segment(theirs, newest), segment(mine, newest));
      },
      mend: () => renameSync(join(mine, 'aside'), segment(mine, newest)),
      says: /belongs to another folder; put it back where it came from/,
    },
  };
  for (const [what, { spoil, mend, says }] of Object.entries(cases)) {
    test(what, async () => {
      spoil();
      await expect(openQueue(mine)).rejects.toMatchObject({
        code: 'QUEUE_DAMAGED',
        message: expect.stringMatching(says),
      });
      for (const repair of [false, true]) {
        const [finding, ...others] = (await fsck(repair)).filter(
          ({ severity }) => severity === 'error',
        );
        expect(finding).toMatchObject({ code: 'FSCK_UNREADABLE', repaired: false });
        expect(finding?.what).toMatch(says);
        expect(others).toEqual([]);
      }
      mend();
      expect(await fsck(false)).toEqual([]);
      const queue = await openQueue(mine);
      expect(queue.intake.pending().entries).toBe(8);
      await drainAll(queue);
      expect(queue.intake.pending().entries).toBe(0);
      expect(await collect(queue.losses.list())).toEqual([]);
      await queue.close();
    });
  }
});
