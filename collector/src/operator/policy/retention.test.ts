import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { temporaryFolder } from '@aliquot/shared/testing/temp';
import { expect, it } from 'vitest';
import { aliquot } from '../../../testing/cli.ts';

/** Rules of retention, as far as they need neither a collector nor a key. */

async function fileOf(text: string): Promise<string> {
  const file = join(temporaryFolder(), 'policy.yaml');
  await writeFile(file, text);
  return file;
}

const RULES = 'agents: {}\nretention:\n  rules:\n    - {keep: {within: 90d}}\n';

it('`policy check` counts the rules', async () => {
  const file = await fileOf(RULES);
  const { code, stdout } = await aliquot(['policy', 'check', file]);
  expect({ code, stdout }).toEqual({
    code: 0,
    stdout: expect.stringContaining('0 groups, 0 single PCs, 1 rule of retention.'),
  });
  const { lines } = await aliquot(['policy', 'check', file, '--json']);
  expect(lines).toEqual([{ event: 'policy', file, groups: [], pcs: [], rules: 1 }]);
});

it('`policy check` ends with 2 and names line, column and the way out of a mistake', async () => {
  const file = await fileOf('retention:\n  rules:\n    - {keep: {within: 3m}}\n');
  const { code, stderr } = await aliquot(['policy', 'check', file]);
  expect(code).toBe(2);
  expect(stderr).toContain(`${file}:3:23: retention.rules[0].keep.within cannot be "3m"`);
  expect(stderr).toContain('write 3mo for months');
});

it('`policy template` lists them, or prints one that `policy check` takes as it is', async () => {
  const all = await aliquot(['policy', 'template', '--json']);
  const names = all.lines.map((line) => String(line['name']));
  expect(names).toContain('raw');
  for (const name of names) {
    const { stdout } = await aliquot(['policy', 'template', name]);
    const file = await fileOf(stdout);
    expect(await readFile(file, 'utf8')).toMatch(/^retention:\n/);
    expect((await aliquot(['policy', 'check', file])).code).toBe(0);
  }
  const unknown = await aliquot(['policy', 'template', 'rwa']);
  expect(unknown).toMatchObject({ code: 2, stderr: expect.stringContaining('there are raw, ') });
});
