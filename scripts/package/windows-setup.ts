import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { signFile } from './sign.ts';
import { root } from './targets.ts';

/**
 * The setup of the agent for Windows, made by makensis out of a folder install on disk. It and its
 * uninstaller are signed where `ALIQUOT_SIGN` says how; without that, twice gives the same bytes.
 * `quick`, for tests, packs less well. Throws with makensis' own words, or, where there is no
 * makensis, with the Debian package to install.
 */
export function buildSetup(
  folder: string,
  version: string,
  seconds: number,
  quick = false,
): Buffer {
  const work = mkdtempSync(join(tmpdir(), 'aliquot-setup-'));
  // makensis warns of a plain setup.exe, for which Windows has shims
  const out = join(work, 'aliquot-agent-setup.exe');
  const numbers = version.split(/[.+-]/).slice(0, 3).join('.');
  const defines = {
    VERSION: version,
    NUMBERS: `${numbers}.0`,
    SOURCE: folder,
    OUT: out,
    SIGN: process.env['ALIQUOT_SIGN'] ?? '',
  };
  try {
    const { error, status, stdout } = spawnSync(
      'makensis',
      [
        '-V2',
        '-WX',
        ...(quick ? ['-DQUICK'] : []),
        ...Object.entries(defines).map(([name, value]) => `-D${name}=${value}`),
        'setup.nsi',
      ],
      {
        cwd: join(root, 'deploy/windows'),
        encoding: 'utf8',
        env: { ...process.env, SOURCE_DATE_EPOCH: String(seconds) },
      },
    );
    if (error !== undefined)
      throw new Error("there is no makensis; install Debian's NSIS (apt-get install nsis)");
    if (status !== 0) throw new Error(`makensis: ${stdout}`);
    signFile(out);
    return readFileSync(out);
  } finally {
    rmSync(work, { recursive: true });
  }
}
