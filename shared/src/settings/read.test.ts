import { describe, expect, it } from 'vitest';
import { takesWhole } from './globs.ts';
import { readSettings } from './read.ts';
import type { SettingsKind } from './schema.ts';
import type { Where } from './where.ts';

const mistakes = (text: string, kind: SettingsKind = 'desk', where: Where = 'anywhere') => {
  const read = readSettings(text, kind, where);
  return 'mistakes' in read ? read.mistakes.map(({ line, message }) => `${line}: ${message}`) : [];
};

describe('settings for PCs of either kind', () => {
  it('take the paths of both, each by its own rules', () => {
    const read = readSettings(
      `sources:
  - {path: /data/hplc/, exclude: [/data/hplc/old]}
  - {path: 'D:\\Data\\', exclude: ['d:\\data\\old', '*.tmp']}
`,
      'desk',
      'anywhere',
    );
    expect('value' in read && read.value.sources.map(({ path }) => path)).toEqual([
      '/data/hplc',
      'D:\\Data',
    ]);
    expect(mistakes("sources: [{path: 'D:\\Data', exclude: ['E:\\x']}]")[0]).toContain(
      'lies outside D:\\Data',
    );
    expect(mistakes("sources: [{path: /data, exclude: ['E:\\x']}]")[0]).toContain('write "/"');
    expect(mistakes("sources: [{path: 'D:\\Data'}, {path: 'd:\\data\\Inner'}]")[0]).toContain(
      'lies in D:\\Data',
    );
    expect(mistakes('sources: [{path: data}]')).toEqual([
      expect.stringContaining('must be an absolute path'),
    ]);
  });

  it('are of one kind on a PC', () => {
    expect(mistakes("sources: [{path: 'D:\\Data'}]", 'desk', 'posix')).toEqual([
      expect.stringContaining(
        'is a path of Windows, and this PC has another system; write it as /data/instrument',
      ),
    ]);
    expect(mistakes('sources: [{path: data}]', 'desk', 'windows')).toEqual([
      expect.stringContaining('must be an absolute path'),
    ]);
    expect(mistakes("sources: [{path: 'D:\\Data'}]", 'desk', 'windows')).toEqual([]);
  });

  it.each([
    ['0 3 * * *', true],
    ['*/15 8-18 * * 1-5', true],
    ['3 am', false],
    ['61 * * * *', false],
  ])('the schedule "%s" is taken: %s', (text, is) => {
    expect(mistakes(`scanSchedule: "${text}"`).length === 0).toBe(is);
  });
});

describe('what only the desk says', () => {
  it('is refused in agent.yaml, with what is accepted there', () => {
    const alone = mistakes('sources: [{path: /data}]\nupdate: {version: "0.2.0"}', 'whole');
    expect(alone).toEqual([
      expect.stringMatching(/^2: "update" is not a setting; accepted are sources/),
    ]);
    expect(mistakes('local: [sources]', 'beside')).toEqual([
      expect.stringContaining('"local" is not a setting'),
    ]);
  });

  it('names a release and a window, and words that a PC may add', () => {
    expect(
      mistakes('update: {version: "0.2.0", window: "22:00-05:00"}\nlocal: [sources, courtesy]'),
    ).toEqual([]);
    expect(mistakes('update: {version: latest}')).toEqual([
      '1: update.version must be a release such as "0.2.0", in quotes',
    ]);
    expect(mistakes('update: {version: "1.0.0", windw: "1"}')).toEqual([
      '1: "windw" is not a setting; did you mean "window"?',
    ]);
    expect(mistakes('local: [update]')).toEqual([
      expect.stringContaining('local[0] must be of sources, pauseWhile'),
    ]);
  });

  it('has defaults: what is watched, and reasons to hold still, may be added', () => {
    const read = readSettings('', 'desk', 'posix');
    expect('value' in read && read.value.local).toEqual(['sources', 'pauseWhile']);
    expect('value' in read && read.value.sources).toEqual([]);
  });
});

it('a pattern at or above a source would take all of it', () => {
  expect(takesWhole('/data', '/data/ms', false)).toBe(true);
  expect(takesWhole('/data/ms/', '/data/ms', false)).toBe(true);
  expect(takesWhole('/data/ms/x', '/data/ms', false)).toBe(false);
  expect(takesWhole('/data/m?', '/data/ms', false)).toBe(false);
  expect(takesWhole('ms', '/data/ms', false)).toBe(false);
  expect(takesWhole('d:\\data', 'D:\\Data\\ms', true)).toBe(true);
});
