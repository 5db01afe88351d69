import { readPolicy } from '@aliquot/shared/settings/policy';
import type { RetentionSection } from '@aliquot/shared/settings/retention';
import { describe, expect, it } from 'vitest';
import { ANY_OTHER, sectionChanges } from './rule-changes.ts';
import { rulesJson, rulesText } from './show-rules.ts';

const NOW = Date.UTC(2026, 10, 30, 12);
const pcs = ['gc-1', 'hplc-1', 'hplc-2'];

function section(...rules: readonly string[]): RetentionSection | undefined {
  const lines = rules.map((rule) => `    - ${rule}\n`).join('');
  const read = readPolicy(`retention:\n  grace: 7d\n  rules:\n${lines}`);
  if ('mistakes' in read) throw new Error(JSON.stringify(read.mistakes));
  return read.policy.retention;
}

/** Each change in a line: whose it is, and what. */
function changes(before: RetentionSection | undefined, now: RetentionSection | undefined) {
  return sectionChanges(before, now, pcs, NOW).rules.flatMap((one) =>
    one.changes.map(
      ({ what, before: was, now: is, keeps }) =>
        `${one.className || '*'} ${one.agents.map((name) => name || '*').join(' ')}${one.source === undefined ? '' : ` ${one.source || 'elsewhere'}`}: ${what} ${was} -> ${is}, ${keeps}`,
    ),
  );
}

const RAW = '{match: {class: [raw]}, lock: 1y, keep: {within: 90d, daily: 30}, gone: 1y}';

describe('what other rules keep less, or more', () => {
  it('is nothing where they say the same, in other words or another order too', () => {
    const other = '{match: {class: [log], agent: [gc-*]}, keep: {within: 7d}}';
    expect(changes(section(RAW, other), section(other, RAW))).toEqual([]);
    expect(changes(section(RAW), section(RAW.replaceAll('1y', '12mo')))).toEqual([]);
    expect(changes(undefined, section('{keep: all}'))).toEqual([]);
  });

  it('is told word by word, of each class', () => {
    const now = RAW.replace('90d', '30d')
      .replace('daily: 30', 'daily: 40, last: 3')
      .replace('lock: 1y', 'lock: 2y')
      .replace('gone: 1y', 'gone: forever');
    const all = 'raw gc-1 hplc-1 hplc-2 *';
    expect(changes(section(RAW), section(now))).toEqual([
      `${all}: lock 1y -> 2y, more`,
      `${all}: within 90d -> 30d, less`,
      `${all}: daily 30 -> 40, more`,
      `${all}: last 0 -> 3, more`,
      `${all}: gone 1y -> forever, more`,
    ]);
  });

  it('is of those PCs alone whose rule changes; of folders that a rule names by themselves', () => {
    const of = (agent: string) => `{match: {agent: [${agent}]}, keep: {within: 30d}}`;
    expect(changes(section(of('hplc-*')), section(of('hplc-1')))).toEqual([
      '* hplc-2: keep within 30d, gone forever -> everything, more',
    ]);
    const folder = '{match: {source: [/data]}, keep: {within: 7d, yearly: 2}, gone: 1y}';
    expect(changes(undefined, section(folder))).toEqual([
      '* gc-1 hplc-1 hplc-2 * /data: keep everything -> within 7d, yearly 2, gone 1y, less',
    ]);
  });

  it('is everything kept again where the section is taken out, and the lock of what comes then', () => {
    expect(changes(section(RAW), undefined)).toEqual([
      'raw gc-1 hplc-1 hplc-2 *: lock 1y -> none, less',
      'raw gc-1 hplc-1 hplc-2 *: keep within 90d, daily 30, gone 1y -> everything, more',
    ]);
  });

  it('does not look at each of thousands of PCs for each rule and class', () => {
    const names = Array.from({ length: 20_000 }, (_, at) => `hplc-${at}`);
    const many = Array.from(
      { length: 40 },
      (_, at) => `{match: {class: [c${at}], agent: [hplc-*]}, keep: {within: 30d}}`,
    );
    const told = sectionChanges(undefined, section(...many), names, NOW).rules;
    expect(told.map(({ agents }) => agents.length)).toEqual(Array(40).fill(20_000));
    expect(told.every(({ agents }) => !agents.includes(ANY_OTHER))).toBe(true);
  });
});

describe('for people', () => {
  it('stands what changes for whom, and from when on', () => {
    const now = RAW.replace('90d', '30d').replace('lock: 1y', 'lock: 2y');
    const told = sectionChanges(section(RAW), section(now), pcs, NOW);
    expect(rulesText(told, pcs.length, NOW)).toBe(
      [
        'How long versions are kept changes:',
        'raw of every PC',
        '  + lock: 1y -> 2y',
        '  - within: 90d -> 30d',
        '',
        'Less (-) is kept from 2026-12-07 12:00:00.000 UTC on, seven days after it is set: until then the earlier policy, set again, takes it back. More (+) is kept at once.',
        'A longer lock binds from 2026-12-01 12:00:00.000 UTC on: until then it can be taken back, and later nobody can shorten it for what is there.',
      ].join('\n'),
    );
    expect(rulesJson(told, NOW)).toEqual([
      {
        event: 'retention',
        agents: pcs,
        laterAgents: true,
        class: 'raw',
        source: null,
        changes: [
          { what: 'lock', before: '1y', now: '2y', keeps: 'more' },
          { what: 'within', before: '90d', now: '30d', keeps: 'less' },
        ],
        keepsLessFrom: '2026-12-07T12:00:00.000Z',
        lockBindsFrom: '2026-12-01T12:00:00.000Z',
      },
    ]);
  });

  it('stand classes together for which the same changes, and PCs that are not there yet', () => {
    const of = (agent: string) =>
      `{match: {class: [raw, log], agent: [${agent}]}, keep: {within: 30d}}`;
    const told = sectionChanges(section(of('gc-1')), section(of("'*'")), pcs, NOW);
    expect(rulesText(told, pcs.length, NOW)?.split('\n').slice(1, 3)).toEqual([
      'raw, log of hplc-1, hplc-2 and PCs that are not there yet',
      '  - keep: everything -> within 30d, gone forever',
    ]);
    expect(rulesText({ rules: [], grace: undefined }, 3, NOW)).toBeUndefined();
  });

  it('stands a shorter grace', () => {
    const [seven, two] = [section(RAW), section(RAW)];
    if (seven === undefined || two === undefined) throw new Error('no rules');
    const grace = { count: 2, unit: 'd' } as const;
    const told = sectionChanges(seven, { ...two, grace }, pcs, NOW);
    expect(rulesText(told, 3, NOW)).toContain('  - grace: 7d -> 2d');
    expect(rulesJson(told, NOW)).toEqual([{ event: 'grace', before: '7d', now: '2d' }]);
  });
});
