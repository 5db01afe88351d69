import { chmod, copyFile, cp, readdir, rename, rm, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { waveform } from '../demo/instruments.ts';
import { differences, pictureOf } from '../demo/picture.ts';
import { type Finished, run } from '../demo/programs.ts';
import { freePort } from './ports.ts';
import { type AgentPlace, World } from './world.ts';

/** What somebody did by hand to the folder of a vault, whose collector does not run. */
interface Deed {
  readonly what: string;
  readonly kind: 'packs' | 'history';
  /** `file` is the only one of its kind; `older` that of the day before. */
  readonly run: (file: string, older: string, foreign: string) => Promise<void>;
  /** The one line with which the collector does not start; undefined: it starts. */
  readonly refusal: RegExp | undefined;
  /** A code of fsck that names it. */
  readonly finding: string;
}

const second = (file: string): string => file.replace('00000001.', '00000002.');

const deeds: readonly Deed[] = (['packs', 'history'] as const).flatMap((kind): Deed[] => {
  const name = kind === 'packs' ? 'pack' : 'history file';
  const lost = kind === 'history';
  return [
    {
      ...{ what: `a ${name} of another vault`, kind, finding: 'file-foreign' },
      run: (file, _, foreign) => copyFile(foreign, file),
      refusal: /0001\.\w+ belongs to another folder; put it back where it came from/,
    },
    {
      ...{ what: `a ${name} that was renamed`, kind, finding: 'file-foreign' },
      run: (file) => rename(file, second(file)),
      refusal: /0002\.\w+ holds .* 1: it was renamed or doubled; give it back its name/,
    },
    {
      ...{ what: `a ${name} that was doubled`, kind, finding: 'file-foreign' },
      run: (file) => copyFile(file, second(file)),
      refusal: /0002\.\w+ holds .* 1: it was renamed or doubled; .*take the double away/,
    },
    {
      ...{ what: `a ${name} of another day`, kind, finding: lost ? 'history-short' : 'pack-short' },
      run: (file, older) => copyFile(older, file),
      refusal: lost ? /lost|short|end/ : undefined,
    },
    {
      ...{ what: `a ${name} that was cut`, kind, finding: lost ? 'history-short' : 'pack-short' },
      run: (file) => truncate(file, 3000),
      refusal: lost ? /lost|short|end/ : undefined,
    },
    {
      ...{ what: `a ${name} that is gone`, kind, finding: lost ? 'history-missing' : 'packs-gone' },
      run: (file) => rm(file),
      refusal: lost ? /lost|missing|gone/ : /packs is there and empty.*--packs-lost/,
    },
  ];
});

describe('files of a vault that somebody moved by hand', () => {
  let world: World;
  let agent: AgentPlace;
  let tree: string;
  let vault: string;
  let sound: string;
  let older: string;
  let foreign: string;

  const vaultOf = async ({ collectorData }: World): Promise<string> => {
    const [id = ''] = await readdir(join(collectorData, 'vaults'));
    return join(collectorData, 'vaults', id);
  };
  const only = async (kind: Deed['kind'], dir: string): Promise<string> => {
    const [name = ''] = (await readdir(join(dir, kind))).filter((one) => one.startsWith('0000'));
    return join(dir, kind, name);
  };
  /** The folder as it was when all was well. */
  const putBack = async (): Promise<void> => {
    await rm(vault, { recursive: true });
    await cp(sound, vault, { recursive: true });
  };
  const started = async (): Promise<Finished> =>
    run(
      'aliquot',
      ['serve', '--data', world.collectorData, '--listen', `127.0.0.1:${await freePort()}`],
      world.environment(),
    );

  beforeAll(async () => {
    const other = await World.open();
    const stranger = await other.agent('stranger');
    await other.write('theirs/a.bin', waveform(50_000, 5));
    await other.backup(stranger, [join(other.folder, 'theirs')]);
    await other.unserve();
    world = await World.open();
    foreign = await world.place('foreign');
    await cp(await vaultOf(other), foreign, { recursive: true });
    await other.close();
    agent = await world.agent('pc');
    tree = await world.place('data');
    await world.write('data/first.bin', waveform(60_000, 1));
    await world.backup(agent, [tree]);
    await world.unserve();
    vault = await vaultOf(world);
    older = join(world.folder, 'older');
    await cp(vault, older, { recursive: true });
    await world.serve();
    for (let file = 0; file < 9; file += 1) await world.write(`data/s${file}.csv`, `small ${file}`);
    await world.write('data/second.bin', waveform(70_000, 2));
    await world.backup(agent, [tree]);
    await world.unserve();
    sound = join(world.folder, 'sound');
    await cp(vault, sound, { recursive: true });
  });

  afterEach(putBack);
  afterAll(() => world.close());

  it.each(deeds)(
    'P6 $what is named with the way out, and put back nothing is lost',
    async (deed) => {
      const { kind, refusal, finding } = deed;
      await deed.run(await only(kind, vault), await only(kind, older), await only(kind, foreign));
      const found = await run('aliquot', ['fsck', '--data', world.collectorData, '--json']);
      expect(found.code).toBe(1);
      expect(found.lines.map((line) => line['code'])).toContain(finding);
      if (refusal !== undefined) {
        const { code, stderr } = await started();
        const lines = stderr.split('\n').filter((line) => line !== '');
        expect({ code, lines }).toEqual({ code: 1, lines: [expect.stringMatching(refusal)] });
        expect(lines[0]).toMatch(/^aliquot: .+ \[[A-Z][A-Z0-9_]+\]$/);
      } else {
        await world.serve();
        const target = join(world.folder, 'in-part');
        const restore = ['restore', '--kit', world.kit, '--agent', 'pc', '--to', target];
        expect((await world.tryAliquot(restore)).code).toBe(3);
        await rm(target, { recursive: true, force: true });
        await world.unserve();
      }
      await putBack();
      expect((await run('aliquot', ['fsck', '--data', world.collectorData])).code).toBe(0);
    },
  );

  it.each<[string, (catalog: string) => Promise<void>]>([
    ['of another vault', (catalog) => cp(join(foreign, 'catalog'), catalog, { recursive: true })],
    ['of another day', (catalog) => cp(join(older, 'catalog'), catalog, { recursive: true })],
    ['that is gone', async () => undefined],
    [
      'of which the tables are gone',
      async (catalog) => {
        await cp(join(sound, 'catalog'), catalog, { recursive: true });
        for (const name of await readdir(catalog))
          if (/\.(ldb|log)$/.test(name)) await rm(join(catalog, name));
      },
    ],
  ])(
    'P1 P2 a catalog %s is made again by the next start, and everything comes back',
    async (_, put) => {
      await rm(join(vault, 'catalog'), { recursive: true });
      await put(join(vault, 'catalog'));
      await world.serve();
      const target = join(world.folder, 'by-another-catalog');
      await world.aliquot(['restore', '--kit', world.kit, '--agent', 'pc', '--to', target]);
      expect(differences(await pictureOf(tree), await pictureOf(join(target, tree)))).toEqual([]);
      await rm(target, { recursive: true });
      await world.unserve();
      expect((await run('aliquot', ['fsck', '--data', world.collectorData])).code).toBe(0);
    },
  );

  it.runIf(process.getuid?.() !== 0)('P6 files that nobody may write to are named', async () => {
    for (const kind of ['packs', 'history'] as const) {
      const file = await only(kind, vault);
      await chmod(file, 0o400);
      const { code, stderr } = await started();
      expect(code).toBe(1);
      expect(stderr).toMatch(/0001\.\w+.*\[[A-Z_]+\]\n$/);
      await chmod(file, 0o600);
    }
  });

  it('P1 P2 in the end everything comes back', async () => {
    await world.serve();
    const target = join(world.folder, 'back');
    await world.aliquot(['restore', '--kit', world.kit, '--agent', 'pc', '--to', target]);
    expect(differences(await pictureOf(tree), await pictureOf(join(target, tree)))).toEqual([]);
  });
});
