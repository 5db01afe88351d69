import { describe, expect, it } from 'vitest';
import { changesBetween, foldersOf, lostCover } from './compare.ts';
import { mergeSettings } from './merge.ts';
import { forNobody, type Policy, readPolicy, renderSettings, settingsMistakes } from './policy.ts';
import { readSettings } from './read.ts';
import { schemaOf } from './schema.ts';

const FILE = `agents:
  defaults:
    scanIntervalSeconds: 600
    courtesy: {maxCpuPercent: 50, pauseWhile: [{process: a.exe}]}
  groups:
    hplc:
      names: [hplc-*]
      sources: [{path: 'D:\\Data', class: raw}]
      courtesy: {maxMbitPerSecond: 20}
    first:
      names: [hplc-1, lcms-2]
      scanIntervalSeconds: 60
  pcs:
    hplc-7:
      sources: [{path: 'E:\\Data'}]
      courtesy: {pauseWhile: []}
`;

function policyOf(text: string): Policy {
  const read = readPolicy(text);
  if ('mistakes' in read) throw new Error(JSON.stringify(read.mistakes));
  return read.policy;
}

const mistakes = (text: string) => {
  const read = readPolicy(text);
  return 'mistakes' in read ? read.mistakes.map(({ line, message }) => `${line}: ${message}`) : [];
};

describe('what one PC is told', () => {
  it('is defaults, over them its groups in order, over them its own: maps merge, lists and values replace', () => {
    const policy = policyOf(FILE);
    expect(renderSettings(policy, 'hplc-1')).toMatchObject({
      groups: ['hplc', 'first'],
      plain: {
        scanIntervalSeconds: 60,
        sources: [{ path: 'D:\\Data', class: 'raw' }],
        courtesy: { maxCpuPercent: 50, maxMbitPerSecond: 20, pauseWhile: [{ process: 'a.exe' }] },
      },
    });
    expect(renderSettings(policy, 'hplc-7')).toMatchObject({
      groups: ['hplc'],
      plain: {
        scanIntervalSeconds: 600,
        sources: [{ path: 'E:\\Data' }],
        courtesy: { maxCpuPercent: 50, pauseWhile: [] },
      },
    });
    expect(renderSettings(policy, 'nmr-1')?.groups).toEqual([]);
    expect(renderSettings(policy, { group: 'first' })?.plain['scanIntervalSeconds']).toBe(60);
  });

  it('is nothing where the policy does not speak to it', () => {
    expect(renderSettings(policyOf('agents: {pcs: {a: {logLevel: debug}}}'), 'b')).toBeUndefined();
    expect(renderSettings(policyOf('{}'), 'b')).toBeUndefined();
  });

  it('is read by a PC to the same value, whatever stands in paths', () => {
    const policy = policyOf(
      "agents: {pcs: {a: {sources: [{path: '/data/größe: #1 ''x''', exclude: ['*.tmp', '!(a)']}]}}}",
    );
    const rendered = renderSettings(policy, 'a');
    const read = readSettings(rendered?.text ?? '', 'desk', 'posix');
    expect('plain' in read && read.plain).toEqual(rendered?.plain);
  });

  it('names groups and PCs that nobody is, with who may be meant', () => {
    const policy = policyOf(FILE);
    expect(forNobody(policy, ['hplc-1', 'hplc-7'])).toEqual([]);
    expect(
      forNobody(policy, ['nmr-1', 'hplc-77']).map(({ line, message }) => `${line}: ${message}`),
    ).toEqual([
      '10: group first (hplc-1, lcms-2) fits no PC',
      '14: there is no PC hplc-7; did you mean hplc-77?',
    ]);
  });
});

describe('a policy file', () => {
  it('is checked whole: unknown keys, wrong values, wrong names, each with its line', () => {
    expect(mistakes('agent: {}')).toEqual(['1: "agent" is not a setting; did you mean "agents"?']);
    expect(mistakes('agents:\n  default: {}')).toEqual([
      '2: "default" is not a setting; did you mean "defaults"?',
    ]);
    expect(mistakes('agents:\n  groups:\n    g: {names: [], sources: 3}')).toEqual([
      '3: names must be a list of names of PCs, such as [hplc-1, lcms-*]',
      '3: sources must be a list of folders to watch, each with "path"',
    ]);
    expect(mistakes('agents:\n  groups:\n    "7": {names: [a]}')[0]).toContain(
      '"7" is no name of a group',
    );
    expect(mistakes('agents:\n  pcs:\n    -x: {}')[0]).toContain('is no name of a PC');
    expect(mistakes('agents:\n  defaults:\n    worker: 2')).toEqual([
      '3: "worker" is not a setting; did you mean "workers"?',
    ]);
    expect(mistakes('agents: [')[0]).toMatch(/^1: /);
    expect(mistakes('- a')[0]).toContain('must be a map of agents');
  });

  it('is checked for each PC with all its sections together, where the line is that of who says it', () => {
    const clash = `agents:
  defaults:
    queue: {classes: {raw: 0.5}}
  groups:
    g:
      names: [a]
      sources: [{path: /data}]
`;
    expect(mistakes(clash)[0]).toMatch(
      /^3: queue\.classes\.raw is the class of no source; there is default \(for/,
    );
    const inside =
      'agents:\n  pcs:\n    a:\n      sources:\n        - path: /data\n        - path: /data/in\n';
    expect(mistakes(inside)).toEqual([
      expect.stringMatching(/^6: sources\[1\]\.path lies in \/data.*\(for a\)$/),
    ]);
    const many = `agents: {pcs: {a: {sources: [${Array.from({ length: 900 }, (_none, at) => `{path: /data/a-long-name-${at}}`).join(', ')}]}}}`;
    expect(mistakes(many)[0]).toContain('more than the 14336 that a PC takes (for a)');
  });

  it('may be right for each section, and wrong for a PC that is in two groups', () => {
    const policy = policyOf(`agents:
  groups:
    one: {names: ['*'], sources: [{path: /data, class: raw}], queue: {classes: {raw: 0.5}}}
    two: {names: [lc-*], sources: [{path: /other}]}
`);
    expect(settingsMistakes(policy, 'hplc-1')).toEqual([]);
    expect(settingsMistakes(policy, 'lc-1')).toEqual([
      { line: 3, column: 86, message: expect.stringContaining('is the class of no source') },
    ]);
  });
});

describe('what loses its cover', () => {
  const cover = (before: object[], now: object[]) =>
    lostCover(foldersOf({ sources: before }), foldersOf({ sources: now }));

  it('is a folder that no source holds any more, and what a new pattern takes', () => {
    const one = { path: '/data/a', exclude: ['*.tmp'] };
    expect(cover([one], [{ path: '/data' }])).toEqual([]);
    expect(cover([one], [{ path: '/data/ab' }])).toEqual([{ path: '/data/a', patterns: [] }]);
    expect(cover([one], [{ path: '/data/a', exclude: ['*.tmp', '*.raw'] }])).toEqual([
      { path: '/data/a', patterns: ['*.raw'] },
    ]);
    expect(cover([one], [{ path: '/data', exclude: ['a'] }])).toEqual([
      { path: '/data/a', patterns: [] },
    ]);
    expect(cover([{ path: 'D:\\Data\\x' }], [{ path: 'd:\\data' }])).toEqual([]);
    expect(cover([one], [one])).toEqual([]);
  });

  it('stands among all changes, folders by their path', () => {
    const changes = changesBetween(
      { workers: 1, sources: [{ path: '/a' }] },
      { workers: 2, sources: [{ path: '/b', class: 'raw' }] },
    );
    expect(changes).toEqual([
      { setting: 'sources /a', before: 'watched', now: undefined },
      { setting: 'sources /b', before: undefined, now: 'watched' },
      { setting: 'sources /b class', before: undefined, now: 'raw' },
      { setting: 'workers', before: '1', now: '2' },
    ]);
  });

  it('no section can change what another says by its keys alone', () => {
    expect(
      mergeSettings([{ queue: { maxBytes: 1 } }, JSON.parse('{"__proto__": {"queue": 1}}')]),
    ).toEqual({ queue: { maxBytes: 1 } });
  });
});

it('nothing in settings can start a program: this is all that they may say', () => {
  const keysOf = (
    schema: { properties?: Record<string, object>; items?: object },
    prefix = '',
  ): string[] =>
    Object.entries(schema.properties ?? {}).flatMap(([key, inner]) => [
      prefix + key,
      ...keysOf(inner, `${prefix}${key}.`),
      ...keysOf((inner as { items?: object }).items ?? {}, `${prefix}${key}[].`),
    ]);
  const schema = schemaOf.desk('anywhere').toJSONSchema({ io: 'input' }) as Parameters<
    typeof keysOf
  >[0];
  expect(keysOf(schema).join(' ')).toBe(
    'sources sources[].path sources[].class sources[].quietPeriodSeconds sources[].maxUnsettledSeconds sources[].exclude sources[].folderResults scanIntervalSeconds scanSchedule queue queue.maxBytes queue.minFreeBytes queue.classes workers courtesy courtesy.priority courtesy.maxCpuPercent courtesy.maxMbitPerSecond courtesy.timeWindows courtesy.timeWindows[].from courtesy.timeWindows[].to courtesy.timeWindows[].days courtesy.timeWindows[].maxCpuPercent courtesy.timeWindows[].maxMbitPerSecond courtesy.pauseWhile courtesy.pauseWhile[].process courtesy.pauseWhile[].file metrics metrics.listen logLevel update update.version update.window local',
  );
});
