/** A PC whose disk is below `queue.minFreeBytes`: what can be sent is sent straight through. */
import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { differences, pictureOf } from '../demo/picture.ts';
import { DemoService, type JsonLine, mustRun, run } from '../demo/programs.ts';
import { SmallDisk } from './small-disk.ts';
import { World } from './world.ts';

const MIB = 1 << 20;

describe('a small PC', () => {
  let world: World;
  beforeAll(async () => {
    world = await World.open();
  });
  afterAll(() => world.close());

  async function withPc(
    name: string,
    mebibytes: number,
    skip: (why: string) => void,
    use: (data: string) => Promise<void>,
  ): Promise<void> {
    const bundle = await world.bundle(name);
    const disk = await SmallDisk.mount(join(world.folder, `disk of ${name}`), mebibytes);
    if (typeof disk === 'string') return skip(disk);
    try {
      await mustRun('aliquot-agent', ['enroll', bundle, '--data', disk.folder]);
      await use(disk.folder);
    } finally {
      await disk.unmount();
    }
  }

  async function expectWhole(name: string, folder: string): Promise<void> {
    const target = join(world.folder, `back of ${name}`);
    await world.aliquot(['restore', '--kit', world.kit, '--agent', name, '--to', target]);
    expect(differences(await pictureOf(folder), await pictureOf(join(target, folder)))).toEqual([]);
  }

  it('P6 I-A10: a backup sends more than the disk could ever hold, a part at a time, and ends with 0', async ({
    skip,
  }) => {
    await withPc('one-shot', 40, skip, async (data) => {
      const folder = await world.place('more than the disk');
      for (let at = 0; at < 8; at += 1)
        await writeFile(join(folder, `${at}.bin`), randomBytes(8 * MIB));
      const done = await mustRun('aliquot-agent', ['backup', folder, '--data', data, '--json']);
      expect(done.lines.at(-1)).toMatchObject({ event: 'summary', files: 8, failed: 0, queued: 0 });
      await expectWhole('one-shot', folder);
      await mustRun('aliquot-agent', ['fsck', '--data', data]);
    });
  });

  it('P6: a result that is larger than what may pass is named with the number and the setting, the others are protected', async ({
    skip,
  }) => {
    await withPc('too-large', 40, skip, async (data) => {
      const folder = await world.place('one is too large');
      await writeFile(join(folder, 'large.bin'), randomBytes(36 * MIB));
      await writeFile(join(folder, 'small.bin'), randomBytes(MIB));
      const done = await run('aliquot-agent', ['backup', folder, '--data', data, '--json']);
      expect(done.code).toBe(3);
      const named = done.lines.filter(({ event }) => event === 'problem');
      expect(named).toMatchObject([{ path: join(folder, 'large.bin'), code: 'queue-full' }]);
      expect(named[0]?.['message']).toMatch(
        /queue\.minFreeBytes: 1073741824, \d+ MiB free.*larger than what is let through/,
      );
      expect(done.lines.at(-1)).toMatchObject({ event: 'summary', files: 1, failed: 1, queued: 0 });
    });
  });

  it('P6 I-A10: without the collector it stays at its source, with the reason; when it is back the service sends it by itself', async ({
    skip,
  }) => {
    await withPc('service', 40, skip, async (data) => {
      const folder = await world.place('watched');
      await writeFile(
        join(data, 'agent.yaml'),
        `sources: [{path: ${JSON.stringify(folder)}, quietPeriodSeconds: 0}]\nscanIntervalSeconds: 1\n`,
        { mode: 0o600 },
      );
      await world.unserve();
      for (let at = 0; at < 6; at += 1)
        await writeFile(join(folder, `${at}.bin`), randomBytes(8 * MIB));
      const service = new DemoService('aliquot-agent', ['run', '--data', data]);
      try {
        await service.event('running');
        // The folder waits too, for its own name and time.
        const waiting = await statusThat(data, ({ queue }) => queue.waiting.files === 7);
        expect(waiting).toMatchObject({ allSafe: false, queue: { full: true } });
        const { stdout } = await mustRun('aliquot-agent', ['status', '--data', data]);
        expect(stdout).toMatch(
          /ALARM: the queue is full \(queue\.minFreeBytes: 1073741824, \d+ MiB free\): 7 complete result files/,
        );
        await world.serve();
        const healed = await statusThat(data, ({ results }) => results['safe'] === 6);
        expect(healed).toMatchObject({ problems: 0, lost: 0, queue: { full: false, entries: 0 } });
        await expectWhole('service', folder);
      } finally {
        await service.stop();
      }
    });
  });
});

interface Status extends JsonLine {
  readonly results: Readonly<Record<string, number>>;
  readonly queue: { readonly waiting: { readonly files: number } };
}

async function statusThat(data: string, holds: (status: Status) => boolean): Promise<Status> {
  for (;;) {
    const { lines } = await mustRun('aliquot-agent', ['status', '--data', data, '--json']);
    const status = lines.find(({ event }) => event === 'status') as Status | undefined;
    if (status !== undefined && holds(status)) return status;
    await delay(300); // how often we look; nothing depends on it
  }
}
