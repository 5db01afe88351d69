import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { NO_SHELL, posixOnly } from '@aliquot/shared/testing/platform';
import { temporaryFolder } from '@aliquot/shared/testing/temp';
import { expect, it, vi } from 'vitest';
import { openPager } from './pager.ts';

it.runIf(posixOnly(NO_SHELL))(
  'what is written goes through the person’s pager, however it is spelled',
  async () => {
    const shown = join(temporaryFolder(), 'shown');
    const pager = await openPager(`cat > '${shown}'`);
    await pager?.output.write('one\ntwo\n');
    await pager?.end();
    expect(await readFile(shown, 'utf8')).toBe('one\ntwo\n');
  },
);

it.runIf(posixOnly(NO_SHELL))('a pager that is left early is noticed, and ends', async () => {
  const pager = await openPager('exit 0');
  for (let at = 0; at < 10_000 && pager?.output.lost === undefined; at += 1)
    await pager?.output.write('x'.repeat(4096));
  expect(pager?.output.readerGone).toBe(true);
  await pager?.end();
});

it.runIf(posixOnly(NO_SHELL))(
  'a pager, which can start a shell, does not get our secrets',
  async () => {
    vi.stubEnv('ALIQUOT_PASSPHRASE', 'a passphrase');
    vi.stubEnv('ALIQUOT_TOKEN', 'a token');
    vi.stubEnv('ALIQUOT_URL', 'http://127.0.0.1:8480');
    try {
      const shown = join(temporaryFolder(), 'shown');
      const pager = await openPager(`env > '${shown}'; cat > /dev/null`);
      await pager?.end();
      const given = await readFile(shown, 'utf8');
      expect(given).toContain('ALIQUOT_URL=');
      expect(given).not.toMatch(/ALIQUOT_(PASSPHRASE|TOKEN)/);
    } finally {
      vi.unstubAllEnvs();
    }
  },
);
