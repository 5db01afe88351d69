import { existsSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { SmallDisk } from '../../../test/small-disk.ts';
import { type Check, DATA, type LifetimePlace, must, ROOT } from './lifetime.ts';
import { makeSetup } from './packages.ts';

/**
 * What people get wrong with a setup: each is one line with the way out, an exit code, and nothing
 * changed.
 */
export async function misuse(place: LifetimePlace, check: Check): Promise<void> {
  const { windows, world, name } = place;
  const setup = makeSetup(place.folder, '0.1.0', place.node);
  mkdirSync(windows.disk('C:\\bundles'), { recursive: true });
  const bundle = await readFile(await world.bundle(`${name}-B`), 'utf8');

  const refused = (
    sentence: string,
    code: number,
    words: RegExp,
    switches: readonly string[],
    before?: () => Promise<void> | void,
  ) =>
    check(sentence, async () => {
      await before?.();
      const ended = await place.setup(setup, ...switches);
      must(ended.code === code, `it ended with ${ended.code}, not ${code}: ${ended.log}`);
      must(
        !existsSync(windows.disk('C:\\Foreign\\setup.log')),
        'it wrote into a folder that is not its own',
      );
      const line = ended.said.split('\n').find((one) => one.startsWith('Aliquot setup: ')) ?? '';
      must(words.test(line), `it said "${ended.said}"`);
      must(!existsSync(windows.disk(`${ROOT}\\host.exe`)), 'programs were left behind');
      must(!existsSync(windows.disk(DATA)), 'a data folder was left behind');
    });

  await refused('an unknown switch', 2, /\/BUNDEL=x is no switch/, ['/BUNDEL=x']);
  await refused('a switch without its value', 2, /\/DATA= names nothing/, ['/DATA=']);
  await refused('a data folder on a share', 2, /is on a share/, [
    '/DATA=\\\\server\\share\\aliquot',
  ]);
  await refused('a data folder that is no whole path', 2, /not a whole path/, ['/DATA=Aliquot']);
  await refused('a data folder on a disk that is not there', 2, /is not there/, [
    '/DATA=Q:\\Aliquot',
  ]);
  await refused(
    'a data folder of another program',
    1,
    /another program wrote/,
    ['/DATA=C:\\Foreign'],
    () => {
      mkdirSync(windows.disk('C:\\Foreign'), { recursive: true });
      writeFileSync(windows.disk('C:\\Foreign\\theirs.txt'), 'theirs');
    },
  );
  await refused('a bundle that is not there', 1, /There is no bundle C:\\bundles\\none.bundle/, [
    '/BUNDLE=C:\\bundles\\none.bundle',
  ]);
  await refused(
    'a folder without this PC’s bundle',
    1,
    new RegExp(`There is no bundle C:\\\\bundles\\\\${name}\\.bundle`),
    ['/BUNDLE=C:\\bundles'],
  );
  await refused(
    'a bundle for another name',
    1,
    new RegExp(`is for ${name}-B, and this PC is ${name}`),
    ['/BUNDLE=C:\\bundles'],
    () => writeFileSync(windows.disk(`C:\\bundles\\${name}.bundle`), bundle),
  );
  await refused('a bundle in UTF-16', 1, /is in UTF-16/, ['/BUNDLE=C:\\bundles\\wide.bundle'], () =>
    writeFileSync(
      windows.disk('C:\\bundles\\wide.bundle'),
      Buffer.from(`\ufeff${bundle}`, 'utf16le'),
    ),
  );
  await refused('an install folder that holds something else', 1, /did not install/, [
    '/D=C:\\Foreign',
  ]);
  await refused(
    'a Windows that is too old',
    1,
    /too old/,
    [],
    async () => void (await windows.run('winecfg', ['-v', 'win81'])),
  );
  await windows.run('winecfg', ['-v', 'win10']);

  // A Wine in a chroot sees only what was mounted before it was started.
  await windows.shutDown();
  const full = await SmallDisk.mount(join(place.folder, 'full'), 20);
  windows.logOn();
  if (typeof full === 'string') console.log(`  - skipped: a disk that is full: ${full}`);
  else {
    const drive = join(windows.folder, 'prefix/dosdevices/f:');
    symlinkSync(full.folder, drive);
    await refused('a disk that is nearly full', 1, /nearly full/, ['/DATA=F:\\Aliquot']);
    rmSync(drive);
    await full.unmount();
  }

  await check(
    'a bundle that is none leaves an installed agent that says how to enrol it, and ends with 3',
    async () => {
      writeFileSync(windows.disk('C:\\bundles\\text.bundle'), 'no bundle at all\n');
      const { code, said } = await place.setup(setup, '/BUNDLE=C:\\bundles\\text.bundle');
      must(
        code === 3 &&
          /not enrolled: .*BUNDLE_NOT_A_BUNDLE.* enroll BUNDLE --data /.test(
            said.replaceAll('\n', ' '),
          ),
        said,
      );
      must(existsSync(windows.disk(`${ROOT}\\host.exe`)), 'nothing is installed');
      await place.uninstall('/PURGE');
    },
  );

  await check(
    'a bundle that was used before ends with 3, with the collector’s word for it',
    async () => {
      writeFileSync(windows.disk('C:\\bundles\\used.bundle'), bundle);
      const first = await place.setup(setup, '/BUNDLE=C:\\bundles\\used.bundle');
      must(first.code === 0, first.log);
      await place.uninstall('/PURGE');
      rmSync(windows.disk('C:\\ProgramData\\Aliquot'), { recursive: true, force: true });
      writeFileSync(windows.disk('C:\\bundles\\used.bundle'), bundle);
      const again = await place.setup(setup, '/BUNDLE=C:\\bundles\\used.bundle');
      must(again.code === 3, `${again.code}: ${again.log}`);
      await place.uninstall('/PURGE');
    },
  );

  await check(
    'a second setup while one runs is sent away, and the first one ends well',
    async () => {
      const said: string[] = [];
      // Two that are started at once may still run one after the other: then both are right to
      // install.
      for (let turn = 0; turn < 5; turn += 1) {
        const both = await Promise.all([windows.run(setup, ['/S']), windows.run(setup, ['/S'])]);
        await place.uninstall('/PURGE');
        said.push(...both.map(({ out }) => out));
        must(/this PC is not enrolled/.test(said.slice(-2).join('\n')), said.join('\n'));
        if (/Another setup of Aliquot Agent is running/.test(said.slice(-2).join('\n'))) return;
      }
      must(false, said.join('\n'));
    },
  );

  await check('what another setup registered elsewhere is not taken over', async () => {
    await windows.run(setup, ['/S', '/D=C:\\Elsewhere']);
    const { code, said } = await place.setup(setup);
    must(code === 1 && /is there already/.test(said), said);
    await windows.run('C:\\Elsewhere\\uninstall.exe', ['/S']);
  });
}
