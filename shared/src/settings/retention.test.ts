import { describe, expect, it } from 'vitest';
import { readPolicy } from './policy.ts';
import type { RetentionSection } from './retention.ts';
import { retentionTemplates } from './retention-templates.ts';
import { readTerm } from './term.ts';

/** `readPolicy`, for it is one file: section `agents:` has its own tests. */
function retentionOf(text: string): RetentionSection | undefined {
  const read = readPolicy(text);
  if ('mistakes' in read) throw new Error(JSON.stringify(read.mistakes));
  return read.policy.retention;
}

const mistakes = (text: string): string[] => {
  const read = readPolicy(text);
  if (!('mistakes' in read)) return [];
  return read.mistakes.map(({ line, column, message }) => `${line}:${column}: ${message}`);
};

/** What is wrong with one rule, which begins at line 3, column 7. */
const wrong = (rule: string): string[] => mistakes(`retention:\n  rules:\n    - ${rule}\n`);

describe('a term', () => {
  it.each([
    ['30d', 30, 'd'],
    ['12w', 12, 'w'],
    ['6mo', 6, 'mo'],
    ['10y', 10, 'y'],
    ['1 y', 1, 'y'],
    ['1000y', 1000, 'y'],
  ] as const)('%s is read', (text, count, unit) => {
    expect(readTerm(text)).toEqual({ term: { count, unit } });
  });

  it.each([
    ['6m', /m is a minute elsewhere; write 6mo for months/],
    [30, /needs its unit: .*30d, 12w, 6mo or 10y/],
    ['24h', /cannot be "24h"; give a number of days/],
    ['30D', /cannot be "30D"/],
    ['0d', /must be 1d or more/],
    ['1001y', /must be 1000y or less/],
    ['99999999999d', /must be a number of days/],
    ['1.5y', /must be a number of days/],
    ['-1d', /must be a number of days/],
    ['', /must be a number of days/],
    [null, /must be a number of days/],
    [['30d'], /must be a number of days/],
    ['1toString', /cannot be "1toString"/],
  ] as const)('%s is refused with the way out', (value, says) => {
    expect(readTerm(value)).toEqual({ mistake: expect.stringMatching(says) });
  });
});

describe('the section "retention"', () => {
  it('is read beside what PCs are told; without it there are no rules', () => {
    expect(retentionOf('agents: {}')).toBeUndefined();
    const text = `agents: {defaults: {workers: 1}}
retention:
  grace: 2w
  rules:
    - match: {class: [raw, results], agent: [hplc-*], source: ['D:\\Results', /data]}
      lock: 1y
      keep: {within: 90d, daily: 30, last: 3}
      gone: 2y
    - keep: all
`;
    expect(retentionOf(text)).toEqual({
      grace: { count: 2, unit: 'w' },
      rules: [
        {
          match: {
            classes: ['raw', 'results'],
            agents: ['hplc-*'],
            sources: ['D:\\Results', '/data'],
          },
          lock: { count: 1, unit: 'y' },
          keep: {
            within: { count: 90, unit: 'd' },
            ...{ daily: 30, weekly: 0, monthly: 0, yearly: 0, last: 3 },
          },
          gone: { count: 2, unit: 'y' },
        },
        {
          match: { classes: undefined, agents: undefined, sources: undefined },
          ...{ lock: undefined, keep: 'all', gone: 'forever' },
        },
      ],
    });
    expect(retentionOf('retention: {rules: [{keep: all}]}')?.grace).toEqual({
      count: 7,
      unit: 'd',
    });
  });

  it('is refused where it says nothing, or something else, with line, column and what is accepted', () => {
    expect(mistakes('retention:')).toEqual(['1:11: retention must be a map of rules, grace']);
    expect(mistakes('retention: {grace: 7d}')[0]).toMatch(
      /^1:12: retention\.rules must be a list of 1 to 1000 rules, each a map of match, lock, keep, gone, unsafe$/,
    );
    expect(mistakes('retention:\n  rules: [{keep: all}]\n  grace: 7m')).toEqual([
      expect.stringMatching(
        /^3:10: retention\.grace cannot be "7m": m is a minute elsewhere; write 7mo/,
      ),
    ]);
    expect(mistakes('retention:\n  rules: [{keep: all}]\n  graze: 7d')).toEqual([
      '3:3: "graze" is not a setting; did you mean "grace"?',
    ]);
    expect(mistakes('retentoin: {}')).toEqual([
      '1:1: "retentoin" is not a setting; did you mean "retention"?',
    ]);
  });

  it.each([
    ['{}', /^3:7: retention\.rules\[0\]\.keep must be "all", or a map of within, daily/],
    ['all', /^3:7: retention\.rules\[0\] must be a map of match, lock, keep, gone, unsafe$/],
    ['{keep: al}', /^3:14: .*keep must be "all".*; did you mean "all"\?$/],
    ['{keep: {}}', /^3:14: .*keep must name what is kept: "all", or a map of within/],
    ['{keep: {hourly: 3}}', /^3:15: "hourly" is not a setting; accepted are within, daily/],
    ['{keep: {within: 6d}}', /^3:23: .*within must be 7d or more: .*say "unsafe: true"/],
    ['{keep: {daily: 30, last: 3}}', /^3:14: .*keep needs "within" beside daily, last: /],
    ['{keep: {daily: 30}, unsafe: true}', /needs "within" beside daily/],
    ['{keep: {within: 7d, daily: 0}}', /^3:34: .*daily must be a whole number from 1 to 10000$/],
    ['{keep: {within: 7d, daily: 1.5}}', /daily must be a whole number/],
    ['{keep: {within: 7d, daily: 30d}}', /daily must be a whole number/],
    ['{keep: {within: 90}}', /within needs its unit/],
    ['{keep: all, gone: never}', /^3:25: .*gone must be a number of days.*, or forever$/],
    ['{keep: all, lock: 1h}', /^3:25: .*lock cannot be "1h"/],
    ['{keep: all, unsafe: yes please}', /unsafe must be true or false/],
    [
      '{keep: all, match: {clas: [raw]}}',
      /^3:27: "clas" is not a setting; did you mean "class"\?$/,
    ],
    [
      '{keep: all, match: {class: raw}}',
      /^3:34: .*match\.class must be a list of classes, such as/,
    ],
    ['{keep: all, match: {class: [raw, Raw]}}', /^3:40: .*match\.class must be a list of classes/],
    ['{keep: all, match: {agent: []}}', /match\.agent must be a list of names of PCs, such as/],
    ['{keep: all, match: {source: [data]}}', /match\.source must be a list of root folders/],
  ])('refuses the rule %s', (rule, says) => {
    expect(wrong(rule)).toEqual([expect.stringMatching(says)]);
  });

  it('takes a short "within" where the rule says that it is meant', () => {
    expect(wrong('{keep: {within: 1d, last: 1}, unsafe: true}')).toEqual([]);
    expect(wrong('{keep: {within: 1w}}')).toEqual([]);
    expect(wrong('{keep: {within: 1mo}}')).toEqual([]);
  });

  it('refuses a rule that is never reached', () => {
    expect(
      mistakes('retention:\n  rules:\n    - keep: all\n    - lock: 1y\n      keep: all\n'),
    ).toEqual([expect.stringMatching(/^4:7: retention\.rules\[1\] is never reached: rules\[0\]/)]);
  });

  it('says all mistakes at once, with those of the other section, by their lines', () => {
    const found = mistakes(
      'retention:\n  rules:\n    - {keep: {within: 1d}, lock: 1m}\nagents:\n  default: {}\n',
    );
    expect(found.map((each) => each.slice(0, 2))).toEqual(['3:', '3:', '5:']);
  });
});

it('each template is a section that is right, and is the one of its name', () => {
  for (const { name, text } of retentionTemplates) {
    const [rule, ...others] = retentionOf(text)?.rules ?? [];
    expect(others).toEqual([]);
    expect(rule?.match.classes ?? ['everything']).toEqual([name]);
  }
});
