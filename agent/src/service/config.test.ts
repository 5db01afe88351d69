import { expect, test } from 'vitest';
import { readConfig } from './config.ts';

const good = `
sources:
  - path: /data/hplc/
    class: chromatography
    quietPeriodSeconds: 2.5
    exclude: ["*.tmp", "/data/hplc/scratch/**"]
  - path: /data/ms
`;

test('a configuration is read with its defaults', () => {
  expect(readConfig(good)).toEqual({
    config: {
      sources: [
        {
          path: '/data/hplc',
          class: 'chromatography',
          quietPeriodSeconds: 2.5,
          exclude: ['*.tmp', '/data/hplc/scratch/**'],
          folderResults: ['*.D', '*.d', '*.raw', '*.RAW'],
        },
        { path: '/data/ms', class: 'default', quietPeriodSeconds: 10, exclude: [], folderResults: ['*.D', '*.d', '*.raw', '*.RAW'] },
      ],
      scanIntervalSeconds: 300,
      logLevel: 'info',
    },
  });
});

const mistakesOf = (text: string) => {
  const read = readConfig(text);
  return 'mistakes' in read ? read.mistakes.map(({ line, message }) => `${line}: ${message}`) : [];
};

const source = 'sources:\n  - path: /data\n';

for (const [what, text, expected] of [
  ['an empty file', '', ['1: sources must be a list of folders to watch, each with "path"']],
  ['no sources', 'logLevel: info', ['1: sources must be a list of folders to watch, each with "path"']],
  ['an empty list', 'sources: []', ['1: sources must name at least one folder to watch']],
  ['a relative path', 'sources:\n  - path: data', ['2: sources[0].path must be an absolute path, such as /data/instrument or D:\\Data']],
  ['a missing path', 'sources:\n  - class: x', ['2: sources[0].path must be a folder’s absolute path']],
  ['a misspelt key', `${source}scanIntervalSecond: 5`, ['3: "scanIntervalSecond" is not a setting; did you mean "scanIntervalSeconds"?']],
  ['a misspelt key in a source', `${source}    excludes: []`, ['3: "excludes" is not a setting; did you mean "exclude"?']],
  [
    'a strange key',
    `${source}colour: red`,
    ['3: "colour" is not a setting; accepted are sources, scanIntervalSeconds, scanSchedule, logLevel'],
  ],
  ['a wrong class', `${source}    class: Big Data`, ['3: sources[0].class must be a name of 1 to 64 of a-z, 0-9 and -']],
  [
    'text for a number',
    `${source}    quietPeriodSeconds: soon`,
    ['3: sources[0].quietPeriodSeconds must be a number of seconds from 0 to 86400'],
  ],
  ['a negative time', `${source}scanIntervalSeconds: -1`, ['3: scanIntervalSeconds must be 1 or more seconds']],
  [
    'no cron expression',
    `${source}scanSchedule: at night`,
    ['3: scanSchedule is no cron expression; accepted are five fields, as in "0 3 * * *" for every day at three'],
  ],
  ['a wrong level', `${source}logLevel: loud`, ['3: logLevel must be one of fatal, error, warn, info, debug, trace']],
  [
    'a broken glob',
    `${source}    exclude: ["[a"]`,
    ['3: sources[0].exclude[0] is no glob; accepted are * ? [abc] {a,b} and **, as in "*.tmp" or "/data/scratch/**"'],
  ],
  ['one folder twice', 'sources:\n  - path: /data\n  - path: /data/', ['3: sources[1].path is watched already by entry 1']],
] as const) {
  test(`${what} is named with its line and the way out`, () => {
    expect(mistakesOf(text)).toEqual(expected);
  });
}

test('all mistakes are reported at once, in the order of their lines', () => {
  const found = mistakesOf('sources:\n  - path: data\n    clas: x\nlogLevel: loud\nscanIntervalSeconds: 0\n');
  expect(found.map((line) => line.split(':')[0])).toEqual(['2', '3', '4', '5']);
});

test('a syntax mistake is named with its line', () => {
  const [first] = mistakesOf('sources:\n  - path: "unclosed\n');
  expect(first).toMatch(/^[23]: /);
  expect(mistakesOf('a: 1\na: 2\n')[0]).toMatch(/^2: .*unique/i);
});
