import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { retentionTemplates } from '@aliquot/shared/settings/retention-templates';
import { expect, it } from 'vitest';
import { type Arrival, dated, factsOf, rulesIn } from '../../testing/retention/histories.ts';
import { tellReasons } from './kept.ts';

const NOW = Date.parse('2026-11-30T10:00Z');
const page = join(import.meta.dirname, '../../../docs/retention.md');

const captured = [
  '2024-12-20T10:00Z',
  '2025-01-08T09:00Z',
  '2025-01-08T11:00Z',
  '2026-09-10T10:00Z',
  '2026-11-28T14:00Z',
];

const minutes = (ms: number): string =>
  new Date(ms).toISOString().slice(0, 16).replace('T', ' ').replace(' 00:00', '');

it('the example of docs/retention.md is what the rule of its template says', () => {
  const rules = rulesIn(retentionTemplates[0]?.text ?? '');
  const arrivals = captured.map((text): Arrival => {
    const atMs = Date.parse(text);
    return { claimMs: atMs, receivedMs: atMs, kind: 'whole', className: 'raw' };
  });
  const policies = [{ revision: 1, setAtMs: 0, rules, grace: undefined }];
  const world = { versions: dated(arrivals), policies, holds: [], isDecided: true, nowMs: NOW };
  const facts = factsOf(world, NOW);
  const told = facts.versions.map((): { readonly text: string; readonly untilMs: number }[] => []);
  tellReasons(facts, (at, reason, untilMs) => {
    const end = untilMs === Infinity ? '' : ` until ${minutes(untilMs)}`;
    told[at]?.push({ text: `${reason}${end}`, untilMs });
  });
  const rows = facts.versions.map(({ timeMs, untilMs }, at) => {
    const reasons = told[at] ?? [];
    const open = reasons.filter((one) => one.untilMs > NOW).map(({ text }) => text);
    const over = reasons.filter((one) => one.untilMs <= NOW).map(({ text }) => text);
    const ends = Math.max(...reasons.map((one) => one.untilMs));
    const goes = ends === Infinity ? 'not by time' : ends > NOW ? minutes(ends) : 'now';
    const until = untilMs === Infinity ? 'today' : minutes(untilMs);
    return `| ${minutes(timeMs)} to ${until} | ${open.join(', ')} | ${over.join(', ')} | ${goes} |`;
  });
  const table = [
    '| current | stays because of | is over | goes |',
    '| --- | --- | --- | --- |',
    ...rows,
  ].join('\n');
  expect(readFileSync(page, 'utf8')).toContain(
    `<!-- example -->\n${table}\n<!-- end of example -->`,
  );
});
