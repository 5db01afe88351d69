import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { buildMsi } from '../../../scripts/package/windows-msi.ts';
import { type Check, DATA, type LifetimePlace, must, ROOT } from './lifetime.ts';
import { makeSetup } from './packages.ts';
import { until } from './windows.ts';

/**
 * The MSI, as far as Wine's installer goes; whether Windows' own agrees is for verify.ps1 (5.4).
 */
export async function msi(place: LifetimePlace, check: Check): Promise<void> {
  const { windows, world, name } = place;
  for (const version of ['0.1.0', '0.1.1'])
    writeFileSync(
      windows.disk(`C:\\agent-${version}.msi`),
      buildMsi(readFileSync(makeSetup(place.folder, version, place.node)), version, 1),
    );
  const msiexec = (...args: readonly string[]) => windows.run('msiexec', args);

  await check('an MSI with a bundle installs, enrols and connects', async () => {
    mkdirSync(windows.disk('C:\\bundles'), { recursive: true });
    cpSync(await world.bundle(`${name}-M`), windows.disk('C:\\bundles\\msi.bundle'));
    await msiexec('/i', 'C:\\agent-0.1.0.msi', '/qn', 'BUNDLE=C:\\bundles\\msi.bundle');
    must(/connected to http/.test(place.log()), place.log());
    must(
      (await place.atCollector(`${name}-M`))?.['state'] === 'enrolled',
      'the collector does not know it',
    );
  });

  await check(
    'the next MSI upgrades it, and there is one entry in the list of programs',
    async () => {
      await msiexec('/i', 'C:\\agent-0.1.1.msi', '/qn');
      must(windows.read(`${ROOT}\\current`) === '0.1.1\n', place.log());
      const { out } = await windows.run('reg', [
        'query',
        'HKLM\\Software\\Microsoft\\Windows\\CurrentVersion\\Uninstall',
        '/s',
      ]);
      must(out.split('\n').filter((line) => /DisplayName.*Aliquot/.test(line)).length === 1, out);
      await until('it runs', async () =>
        (await place.agent('status')).out.includes(`${name}-M`) ? true : undefined,
      );
    },
  );

  await check('removing it leaves the data', async () => {
    await msiexec('/x', 'C:\\agent-0.1.1.msi', '/qn');
    await until('the programs are gone', () => (existsSync(windows.disk(ROOT)) ? undefined : true));
    must(existsSync(windows.disk(`${DATA}\\identity\\identity.json`)), 'the data is gone');
  });
}
