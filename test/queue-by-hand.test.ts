import { copyFile, cp, readdir, rename, rm, stat, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { waveform } from '../demo/instruments.ts';
import { differences, pictureOf } from '../demo/picture.ts';
import { type Finished, mustRun, run } from '../demo/programs.ts';
import { type AgentPlace, summaryOf, World } from './world.ts';

/** What somebody did by hand to a folder of the agent's queue, while no agent ran. */
interface Deed {
  readonly what: string;
  readonly kind: 'queue/segments' | 'chain';
  /** `file` is the only one of its kind; `foreign` that of another PC. */
  readonly run: (file: string, foreign: string) => Promise<void>;
  readonly refusal: RegExp;
}

const moved = (file: string): string => file.replace('00000001.', '00000002.');

const deeds: readonly Deed[] = (['queue/segments', 'chain'] as const).flatMap((kind): Deed[] => {
  const name = kind === 'chain' ? 'chain log' : 'segment';
  return [
    {
      ...{ what: `a ${name} of another PC`, kind },
      run: (file, foreign) => copyFile(foreign, file),
      refusal: /0001\.\w+ belongs to another folder; put it back where it came from/,
    },
    {
      ...{ what: `a ${name} that was renamed`, kind },
      run: (file) => rename(file, moved(file)),
      refusal: /0002\.\w+ holds .* 1: it was renamed or doubled; give it back its name/,
    },
    {
      ...{ what: `a ${name} that was doubled`, kind },
      run: (file) => copyFile(file, moved(file)),
      refusal: /0002\.\w+ holds .* 1: it was renamed or doubled; .*take the double away/,
    },
  ];
});

describe('files of a queue that somebody moved by hand', () => {
  let world: World;
  let agent: AgentPlace;
  let stranger: AgentPlace;
  let tree: string;
  let sound: string;

  const only = async (kind: Deed['kind'], { data }: AgentPlace): Promise<string> => {
    const names = await readdir(join(data, kind));
    const name = names.find((one) => one.startsWith('0000'));
    if (name === undefined) throw new Error(`nothing in ${kind}`);
    return join(data, kind, name);
  };
  const putBack = async (): Promise<void> => {
    await rm(agent.data, { recursive: true });
    await cp(sound, agent.data, { recursive: true });
  };
  const backup = (place: AgentPlace, folder: string): Promise<Finished> =>
    mustRun('aliquot-agent', ['backup', folder, '--data', place.data, '--offline']);

  beforeAll(async () => {
    world = await World.open();
    agent = await world.agent('pc');
    stranger = await world.agent('stranger');
    tree = await world.place('data');
    await world.write('data/first.bin', waveform(60_000, 1));
    // Something is signed, and something waits.
    await world.backup(agent, [tree]);
    await world.write('theirs/a.bin', waveform(50_000, 5));
    await world.backup(stranger, [join(world.folder, 'theirs')]);
    for (let file = 0; file < 9; file += 1) await world.write(`data/s${file}.csv`, `small ${file}`);
    await backup(agent, tree);
    sound = join(world.folder, 'sound');
    await cp(agent.data, sound, { recursive: true });
  });

  afterEach(putBack);
  afterAll(() => world.close());

  it.each(deeds)('I-A6 $what stops the agent in one line, with the way out', async (deed) => {
    await deed.run(await only(deed.kind, agent), await only(deed.kind, stranger));
    const { code, stderr } = await run('aliquot-agent', ['flush', '--data', agent.data]);
    const lines = stderr.split('\n').filter((line) => line !== '');
    expect({ code, lines }).toEqual({ code: 1, lines: [expect.stringMatching(deed.refusal)] });
    expect(lines[0]).toMatch(/^aliquot-agent: .+ \[[A-Z][A-Z0-9_]+\]$/);
    const found = await run('aliquot-agent', ['fsck', '--data', agent.data]);
    expect(found.code).toBe(1);
  });

  it('I-A6 P6 a segment that was cut costs what was in it, which is named, and the rest is sent', async () => {
    const file = await only('queue/segments', agent);
    await truncate(file, (await stat(file)).size - 100);
    const flushed = await run('aliquot-agent', ['flush', '--data', agent.data, '--json']);
    expect(flushed.code).toBe(3);
    expect(summaryOf(flushed)).toMatchObject({ lost: 9, queued: 0 });
    expect(flushed.stderr).toMatch(/9 versions are lost: .*aliquot-agent status names each.*\]\n$/);
    // Their sources are still there.
    // Their loss is said until a person has acknowledged it.
    const again = await run('aliquot-agent', ['backup', tree, '--data', agent.data, '--json']);
    expect(again.code).toBe(3);
    expect(summaryOf(again)).toMatchObject({ newFiles: 9, unchanged: 1 });
    const target = join(world.folder, 'after-a-loss');
    await world.aliquot(['restore', '--kit', world.kit, '--agent', 'pc', '--to', target]);
    expect(differences(await pictureOf(tree), await pictureOf(join(target, tree)))).toEqual([]);
  });

  it.each(['of another PC', 'that is gone'])(
    'I-A5 an index %s is made again, and everything is sent',
    async (what) => {
      await rm(join(agent.data, 'queue/index'), { recursive: true });
      if (what !== 'that is gone')
        await cp(join(stranger.data, 'queue/index'), join(agent.data, 'queue/index'), {
          recursive: true,
        });
      expect((await run('aliquot-agent', ['flush', '--data', agent.data])).code).toBe(0);
      const target = join(world.folder, 'back');
      await world.aliquot(['restore', '--kit', world.kit, '--agent', 'pc', '--to', target]);
      expect(differences(await pictureOf(tree), await pictureOf(join(target, tree)))).toEqual([]);
      await rm(target, { recursive: true });
      await mustRun('aliquot-agent', ['fsck', '--data', agent.data]);
    },
  );
});
