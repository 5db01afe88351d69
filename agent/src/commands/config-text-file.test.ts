import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { readConfigText } from './config-text-file.ts';

const folder = mkdtempSync(join(tmpdir(), 'aliquot-config-text-'));
afterAll(() => rmSync(folder, { recursive: true }));
const path = join(folder, 'agent.yaml');

describe('the configuration file', () => {
  it.each(['', '\n\n', '# a comment\n  # another\r\n\t\n'])(
    'says nothing while it holds only comments, as one just installed (%j)',
    async (text) => {
      writeFileSync(path, text);
      expect(await readConfigText(path)).toBeUndefined();
    },
  );

  it('is read when a line says something, and is absent without a word', async () => {
    writeFileSync(path, '# a comment\nsources: []\n');
    expect(await readConfigText(path)).toBe('# a comment\nsources: []\n');
    expect(await readConfigText(join(folder, 'none.yaml'))).toBeUndefined();
  });
});
