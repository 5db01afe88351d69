import { expect, it } from 'vitest';
import { agentTables } from './agent-tables.ts';

const heads = [
  'STATE',
  'SEEN>',
  'BACKUP>',
  'FILES>',
  'BYTES>',
  'QUEUE>',
  'WRONG>',
  'RELEASE',
  'SETTINGS',
  'GROUP',
  'AGENT',
];
const row = (name: string, desk: readonly [string, string, string]) => [
  'connected',
  '48s',
  '3m',
  '1,234',
  '12.3 GiB',
  '0',
  '-',
  ...desk,
  name,
];

it('agents are one table while it fits 80 columns, without columns that nobody fills', () => {
  const tables = agentTables(heads, [row('hplc-1', ['0.1.0', '-', '-'])]);
  expect(tables).toHaveLength(1);
  expect(tables[0]).toMatch(/^STATE .* RELEASE {2}AGENT\n/);
});

it('with more from the desk than fits they are two, none wider than 80, the second without PCs that nobody told anything', () => {
  const [own, space, desk] = agentTables(heads, [
    row('hplc-1', ['0.1.0 (package)', '11, not 12', 'hplc,canary']),
    row('an-instrument-7', ['-', '-', '-']),
  ]);
  expect(`${own}\n${desk}`.split('\n').filter((line) => line.length > 80)).toEqual([]);
  expect(own).toMatch(/^STATE .* WRONG {2}AGENT\n/);
  expect(space).toBe('');
  expect(desk?.split('\n')).toEqual([
    'RELEASE          SETTINGS    GROUP        AGENT',
    '0.1.0 (package)  11, not 12  hplc,canary  hplc-1',
  ]);
});
