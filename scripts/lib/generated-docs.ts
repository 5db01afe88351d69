import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { agentMetrics } from '../../agent/src/status/metrics.ts';
import { collectorMetrics } from '../../collector/src/health/metrics.ts';
import { bashCompletion, fishCompletion, powershellCompletion } from './completions.ts';
import { configJsonSchema, configTable, policyJsonSchema } from './config-docs.ts';
import { errorCodes, withWaiting } from './error-codes.ts';
import { manPage } from './manual.ts';
import { programs } from './programs.ts';
import { readSources } from './sources.ts';

/** A file that is made from the source, with the text that it should have. */
export interface GeneratedFile {
  /** From the project's root. */
  readonly path: string;
  readonly text: string;
}

/** Everything that `npm run docs` writes. A test holds the files against it. */
export async function generatedFiles(root: string): Promise<readonly GeneratedFile[]> {
  const commands = (await programs()).flatMap((program) => [
    { path: `deploy/man/${program.name()}.1`, text: manPage(program) },
    { path: `deploy/completions/${program.name()}.bash`, text: bashCompletion(program) },
    { path: `deploy/completions/${program.name()}.fish`, text: fishCompletion(program) },
    { path: `deploy/completions/${program.name()}.ps1`, text: powershellCompletion(program) },
  ]);
  const errors = readFileSync(join(root, 'docs/errors.md'), 'utf8');
  return [
    ...commands,
    { path: 'docs/errors.md', text: withWaiting(errors, errorCodes(readSources(root))) },
    { path: 'deploy/agent.schema.json', text: `${JSON.stringify(configJsonSchema(), null, 2)}\n` },
    { path: 'deploy/policy.schema.json', text: `${JSON.stringify(policyJsonSchema(), null, 2)}\n` },
    withTable(root, 'docs/configuration.md', 'settings', configTable()),
    withTable(
      root,
      'docs/monitoring.md',
      'collector metrics',
      metricsTable(collectorMetrics),
      'agent metrics',
      metricsTable(agentMetrics),
    ),
  ];
}

/** Names of metrics and what they count. */
function metricsTable(
  metrics: readonly { readonly name: string; readonly help: string }[],
): string {
  return [
    '| metric | what it says |',
    '| --- | --- |',
    ...metrics.map(({ name, help }) => `| \`${name}\` | ${help} |`),
    '',
  ].join('\n');
}

/** A page with the parts between its marks replaced: mark, table, mark, table. */
function withTable(root: string, path: string, ...parts: readonly string[]): GeneratedFile {
  let text = readFileSync(join(root, path), 'utf8');
  for (let at = 0; at < parts.length; at += 2)
    text = replaced(path, text, parts[at] ?? '', parts[at + 1] ?? '');
  return { path, text };
}

function replaced(path: string, text: string, mark: string, table: string): string {
  const [before, rest] = text.split(`<!-- ${mark} -->\n`);
  const [, after] = rest?.split(`<!-- end of ${mark} -->`) ?? [];
  if (before === undefined || after === undefined)
    throw new Error(`${path} has no place for the table: <!-- ${mark} -->`);
  return `${before}<!-- ${mark} -->\n${table}<!-- end of ${mark} -->${after}`;
}
