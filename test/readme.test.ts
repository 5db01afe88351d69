import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { differences, pictureOf } from '../demo/picture.ts';
import { freePort } from './ports.ts';
import { makeTree } from './trees.ts';

const root = fileURLToPath(new URL('..', import.meta.url));

describe('the README', () => {
  it('its first real set-up works as it stands, with other paths and another port', async () => {
    const readme = await readFile(join(root, 'README.md'), 'utf8');
    const block = readme.split('## A first real set-up')[1]?.match(/```sh\n([\s\S]*?)```/)?.[1];
    if (block === undefined) throw new Error('the README has no set-up block');
    const folder = await mkdtemp(join(tmpdir(), 'aliquot-readme-'));
    try {
      await makeTree(join(folder, 'data', 'hplc'));
      const script = block
        .replaceAll('/srv/aliquot', `${folder}/srv`)
        .replaceAll('/var/lib/aliquot-agent', `${folder}/agent`)
        .replaceAll('/data/hplc', `${folder}/data/hplc`)
        .replaceAll('/tmp/restored', `${folder}/restored`)
        .replaceAll('~/aliquot-keys', `${folder}/keys`)
        .replaceAll('8480', String(await freePort()))
        // "Run the next one when it is ready": what a person does by looking at the terminal.
        .replace(
          /^(aliquot serve .*) &$/m,
          `mkfifo ${folder}/said\n$1 > ${folder}/said &\nserver=$!\ntrap 'kill $server; wait $server' EXIT\nread -r ready < ${folder}/said`,
        );
      expect(script).toContain('read -r ready');
      await promisify(execFile)('bash', ['-euc', script], {
        cwd: root,
        env: {
          ...process.env,
          ALIQUOT_PASSPHRASE: 'a passphrase for the README',
          ALIQUOT_STATE: `${folder}/operator`,
        },
      });
      const restored = await pictureOf(join(folder, 'restored', folder, 'data', 'hplc'));
      expect(differences(await pictureOf(join(folder, 'data', 'hplc')), restored)).toEqual([]);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});
