import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { undescribedSettings } from './lib/config-docs.ts';
import { generatedFiles } from './lib/generated-docs.ts';
import { loggedMessages } from './lib/log-messages.ts';
import { readSources } from './lib/sources.ts';

const root = join(import.meta.dirname, '..');
const page = (name: string) => readFileSync(join(root, 'docs', name), 'utf8');

describe('what is made from the source', () => {
  it('is as `npm run docs` writes it', async () => {
    const stale = (await generatedFiles(root)).filter(
      ({ path, text }) =>
        !existsSync(join(root, path)) || readFileSync(join(root, path), 'utf8') !== text,
    );
    expect(stale.map(({ path }) => path)).toEqual([]);
  });

  it('has a sentence for every setting of agent.yaml', () => {
    expect(undescribedSettings()).toEqual([]);
  });
});

describe('the completion of bash', () => {
  const complete = (...words: string[]) => {
    const script = `source deploy/completions/aliquot-agent.bash
      COMP_WORDS=(aliquot-agent ${words.map((word) => `'${word}'`).join(' ')}); COMP_CWORD=${words.length}
      _aliquot_agent aliquot-agent '${words.at(-1)}' '${words.at(-2) ?? 'aliquot-agent'}'; printf '%s\\n' "\${COMPREPLY[@]}"`;
    return execFileSync('bash', ['-c', script], { cwd: root, encoding: 'utf8' }).trim().split('\n');
  };

  it('offers commands, the commands of a group, options behind a dash, and files elsewhere', () => {
    expect(complete('ba')).toEqual(['backup']);
    expect(complete('queue', '')).toEqual(['export', 'import']);
    expect(complete('queue', 'export', '--da')).toEqual(['--data']);
    expect(complete('backup', '--data', 'packa')).toContain('package.json');
  });
});

describe('docs/configuration.md', () => {
  it('names every variable of the environment that the programs read', () => {
    const readers = readSources(root).filter(({ path }) => /environment\.ts$/.test(path));
    const read = readers.flatMap(({ text }) =>
      [...text.matchAll(/\benv(?:ironment)?\['([A-Za-z_]+)'\]/g)].map(([, name]) => name ?? ''),
    );
    expect(read.length).toBeGreaterThan(5);
    expect(
      [...new Set(read)].filter((name) => !page('configuration.md').includes(`\`${name}\``)),
    ).toEqual([]);
  });
});

describe('docs/logs.md', () => {
  it('has a row for every sentence that the services log', () => {
    const messages = loggedMessages(readSources(root));
    expect(messages.length).toBeGreaterThan(30);
    expect(messages.filter((message) => !page('logs.md').includes(`| ${message} |`))).toEqual([]);
  });
});
