import { expect, test } from 'vitest';
import { readConfig as readConfigOf } from './config.ts';

// Its paths are those of POSIX, on every system.
const readConfig = (text: string) => readConfigOf(text, 'posix');

const GOOD = `
sources:
  - path: /data/hplc/
    class: chromatography
    quietPeriodSeconds: 2.5
    exclude: ["*.tmp", "/data/hplc/scratch/**"]
  - path: /data/ms
`;

test('a configuration is read with its defaults', () => {
  expect(readConfig(GOOD)).toEqual({
    config: {
      sources: [
        {
          path: '/data/hplc',
          class: 'chromatography',
          quietPeriodSeconds: 2.5,
          maxUnsettledSeconds: 3600,
          exclude: ['*.tmp', '/data/hplc/scratch/**'],
          folderResults: ['*.D', '*.d', '*.raw', '*.RAW'],
        },
        {
          path: '/data/ms',
          class: 'default',
          quietPeriodSeconds: 10,
          maxUnsettledSeconds: 3600,
          exclude: [],
          folderResults: ['*.D', '*.d', '*.raw', '*.RAW'],
        },
      ],
      scanIntervalSeconds: 300,
      queue: { maxBytes: 50 * 2 ** 30, minFreeBytes: 2 ** 30, classes: {} },
      courtesy: { priority: 'below-normal', timeWindows: [], pauseWhile: [] },
      logLevel: 'info',
    },
  });
});

test('the queue has limits, and a class its share', () => {
  const text = `${GOOD}queue:\n  maxBytes: 1 GB\n  minFreeBytes: 0\n  classes: {chromatography: 0.25}\n`;
  const read = readConfig(text);
  expect('config' in read && read.config.queue).toEqual({
    maxBytes: 1_000_000_000,
    minFreeBytes: 0,
    classes: { chromatography: 0.25 },
  });
});

test('courtesy is read with its windows and signs', () => {
  const text = `${GOOD}courtesy:
  priority: normal
  maxCpuPercent: 50
  maxMbitPerSecond: 100
  timeWindows:
    - {from: "08:00", to: "18:30", days: mon-fri, maxMbitPerSecond: 20}
  pauseWhile:
    - process: MassHunter.exe
    - file: /run/instrument/busy
`;
  const read = readConfig(text);
  expect('config' in read && read.config.courtesy).toEqual({
    priority: 'normal',
    maxCpuPercent: 50,
    maxMbitPerSecond: 100,
    timeWindows: [{ from: 480, to: 1110, days: [1, 2, 3, 4, 5], maxMbitPerSecond: 20 }],
    pauseWhile: [{ process: 'MassHunter.exe' }, { file: '/run/instrument/busy' }],
  });
});

const mistakesOf = (text: string) => {
  const read = readConfig(text);
  return 'mistakes' in read ? read.mistakes.map(({ line, message }) => `${line}: ${message}`) : [];
};

const SOURCE = 'sources:\n  - path: /data\n';

for (const [what, text, expected] of [
  ['an empty file', '', ['1: sources must be a list of folders to watch, each with "path"']],
  [
    'no sources',
    'logLevel: info',
    ['1: sources must be a list of folders to watch, each with "path"'],
  ],
  ['an empty list', 'sources: []', ['1: sources must name at least one folder to watch']],
  [
    'a relative path',
    'sources:\n  - path: data',
    ['2: sources[0].path must be an absolute path, such as /data/instrument or D:\\Data'],
  ],
  [
    'a missing path',
    'sources:\n  - class: x',
    ['2: sources[0].path must be a folder’s absolute path'],
  ],
  [
    'a misspelt key',
    `${SOURCE}scanIntervalSecond: 5`,
    ['3: "scanIntervalSecond" is not a setting; did you mean "scanIntervalSeconds"?'],
  ],
  [
    'a misspelt courtesy',
    `${SOURCE}courtesy:\n  maxCpuPercents: 5`,
    ['4: "maxCpuPercents" is not a setting; did you mean "maxCpuPercent"?'],
  ],
  [
    'a misspelt key in a window',
    `${SOURCE}courtesy:\n  timeWindows:\n    - {from: "08:00", til: "09:00", maxCpuPercent: 5}`,
    [
      '5: courtesy.timeWindows[0].to must be a time of day in quotes, from "00:00" to "24:00"',
      '5: "til" is not a setting; did you mean "to"?',
    ],
  ],
  [
    'no workers',
    `${SOURCE}workers: 0`,
    ['3: workers must be a whole number of threads, from 1 to 8'],
  ],
  [
    'no CPU at all',
    `${SOURCE}courtesy: {maxCpuPercent: 0}`,
    ['3: courtesy.maxCpuPercent must be 1 or more (percent of one core)'],
  ],
  [
    'a line that is closed',
    `${SOURCE}courtesy: {maxMbitPerSecond: 0}`,
    [
      '3: courtesy.maxMbitPerSecond must be 0.1 or more megabits per second: sending never stops, so that small results become safe',
    ],
  ],
  [
    'a window without a limit, of strange days',
    `${SOURCE}courtesy:\n  timeWindows:\n    - {from: "08:00", to: "18:00"}\n    - {from: "08:00", to: "18:00", days: montag, maxCpuPercent: 5}`,
    [
      '5: courtesy.timeWindows[0] must say what holds then: "maxMbitPerSecond", "maxCpuPercent", or both',
      '6: courtesy.timeWindows[1].days must be days such as mon-fri, or sat,sun; accepted are mon, tue, wed, thu, fri, sat, sun',
    ],
  ],
  [
    'a time without quotes',
    `${SOURCE}courtesy:\n  timeWindows:\n    - {from: 8, to: "25:00", maxCpuPercent: 5}`,
    [
      '5: courtesy.timeWindows[0].from must be a time of day in quotes, from "00:00" to "24:00"',
      '5: courtesy.timeWindows[0].to must be a time of day in quotes, from "00:00" to "24:00"',
    ],
  ],
  [
    'signs of nothing, of two things, and by a folder',
    `${SOURCE}courtesy:\n  pauseWhile:\n    - {}\n    - {process: a, file: /b}\n    - {process: /bin/a}\n    - {file: busy}`,
    [
      '5: courtesy.pauseWhile[0] must have either "process" or "file"',
      '6: courtesy.pauseWhile[1] must have either "process" or "file"',
      '7: courtesy.pauseWhile[2].process must be the name of a program without its folder, such as "acquisition.exe"',
      '8: courtesy.pauseWhile[3].file must be an absolute path, such as /run/instrument/busy or C:\\Lab\\busy',
    ],
  ],
  [
    'a misspelt key in a source',
    `${SOURCE}    excludes: []`,
    ['3: "excludes" is not a setting; did you mean "exclude"?'],
  ],
  [
    'a strange key',
    `${SOURCE}colour: red`,
    [
      '3: "colour" is not a setting; accepted are sources, scanIntervalSeconds, scanSchedule, queue, workers, courtesy, metrics, logLevel',
    ],
  ],
  [
    'a wrong class',
    `${SOURCE}    class: Big Data`,
    ['3: sources[0].class must be a name of 1 to 64 of a-z, 0-9 and -'],
  ],
  [
    'text for a number',
    `${SOURCE}    quietPeriodSeconds: soon`,
    ['3: sources[0].quietPeriodSeconds must be a number of seconds from 0 to 86400'],
  ],
  [
    'a negative time',
    `${SOURCE}scanIntervalSeconds: -1`,
    ['3: scanIntervalSeconds must be 1 or more seconds'],
  ],
  [
    'no cron expression',
    `${SOURCE}scanSchedule: at night`,
    [
      '3: scanSchedule is no cron expression; accepted are five fields, as in "0 3 * * *" for every day at three',
    ],
  ],
  [
    'a wrong level',
    `${SOURCE}logLevel: loud`,
    ['3: logLevel must be one of fatal, error, warn, info, debug, trace'],
  ],
  [
    'a broken glob',
    `${SOURCE}    exclude: ["[a"]`,
    [
      '3: sources[0].exclude[0] is no glob; accepted are * ? [abc] {a,b} and **, as in "*.tmp" or "/data/scratch/**"',
    ],
  ],
  [
    'an exclude that lies elsewhere, or brings back',
    `${SOURCE}    exclude: [/datum/x, "!a"]`,
    [
      '3: sources[0].exclude[0] lies outside /data, so it can never match; name a path below it, or only a name',
      '3: sources[0].exclude[1] begins with "!", which brings nothing back here; make the other patterns take less instead',
    ],
  ],
  [
    'an exclude of the whole source',
    `${SOURCE}    exclude: [/data/]`,
    ['3: sources[0].exclude[0] takes the whole of /data; take that source out instead'],
  ],
  [
    'a misspelt limit',
    `${SOURCE}queue: {maxByte: 5}`,
    ['3: "maxByte" is not a setting; did you mean "maxBytes"?'],
  ],
  [
    'a limit that is no number',
    `${SOURCE}queue:\n  maxBytes: 5G`,
    [
      '4: queue.maxBytes must be 1.0 MiB or more: a number of bytes, or one with its unit such as 50GB or 200MiB',
    ],
  ],
  [
    'a limit too small',
    `${SOURCE}queue:\n  maxBytes: 5kB`,
    [
      '4: queue.maxBytes must be 1.0 MiB or more: a number of bytes, or one with its unit such as 50GB or 200MiB',
    ],
  ],
  [
    'a limit below zero',
    `${SOURCE}queue:\n  minFreeBytes: -1`,
    [
      '4: queue.minFreeBytes must be 0 B or more: a number of bytes, or one with its unit such as 50GB or 200MiB',
    ],
  ],
  [
    'a limit that is a list',
    `${SOURCE}queue:\n  minFreeBytes: [1]`,
    [
      '4: queue.minFreeBytes must be 0 B or more: a number of bytes, or one with its unit such as 50GB or 200MiB',
    ],
  ],
  [
    'a share above 1',
    `${SOURCE}queue:\n  classes:\n    default: 50`,
    ['5: queue.classes.default must be a share from 0 to 1, such as 0.5 for half of maxBytes'],
  ],
  [
    'a share of a class that nothing has',
    `${SOURCE}queue:\n  classes:\n    raw: 0.5`,
    ['5: queue.classes.raw is the class of no source; there is default'],
  ],
  [
    'a source inside another',
    'sources:\n  - path: /data/run/\n  - path: /data',
    [
      '2: sources[0].path lies in /data, which entry 2 watches with all below it; take one of the two out',
    ],
  ],
  [
    'everything, and a folder of it',
    'sources:\n  - path: /\n  - path: /data',
    [
      '3: sources[1].path lies in /, which entry 1 watches with all below it; take one of the two out',
    ],
  ],
  ['folders with names alike', 'sources:\n  - path: /data/run\n  - path: /data/run2', []],
  [
    'a pattern as path',
    'sources:\n  - path: /data/*',
    [
      '2: sources[0].path must be one folder, not a pattern: name each folder, or the one above them',
    ],
  ],
  [
    'a pattern with ?',
    'sources:\n  - path: /data/run?',
    [
      '2: sources[0].path must be one folder, not a pattern: name each folder, or the one above them',
    ],
  ],
  ['brackets, which folders may have', 'sources:\n  - path: "/data/plate [1] {a}"', []],
  [
    'one folder twice',
    'sources:\n  - path: /data\n  - path: /data/',
    ['3: sources[1].path is watched already by entry 1'],
  ],
] as const) {
  test(`${what} is named with its line and the way out`, () => {
    expect(mistakesOf(text)).toEqual(expected);
  });
}

test('a file that an editor saved in another encoding is named as that, and a byte order mark is none', () => {
  const text = 'logLevel: info\nsources: [{path: "/data/Ger\u00e4t"}]\n';
  const big = Buffer.from(text, 'utf16le').swap16();
  expect(mistakesOf(Buffer.from(text, 'latin1').toString('utf8'))).toEqual([
    '2: holds a character that is not UTF-8; save the file as UTF-8 (not as ANSI)',
  ]);
  const cases = [
    Buffer.from(text, 'utf16le'),
    Buffer.concat([Buffer.from([0xff, 0xfe]), Buffer.from(text, 'utf16le')]),
    Buffer.concat([Buffer.from([0xfe, 0xff]), big]),
  ];
  for (const bytes of cases)
    expect(mistakesOf(bytes.toString('utf8'))).toEqual([
      expect.stringMatching(/^1: is written in UTF-16/),
    ]);
  expect(mistakesOf(`\ufeff${text}`)).toEqual([]);
});

test('all mistakes are reported at once, in the order of their lines', () => {
  const found = mistakesOf(
    'sources:\n  - path: data\n    clas: x\nlogLevel: loud\nscanIntervalSeconds: 0\n',
  );
  expect(found.map((line) => line.split(':')[0])).toEqual(['2', '3', '4', '5']);
});

test('a syntax mistake is named with its line', () => {
  const [first] = mistakesOf('sources:\n  - path: "unclosed\n');
  expect(first).toMatch(/^[23]: /);
  expect(mistakesOf('a: 1\na: 2\n')[0]).toMatch(/^2: .*unique/i);
});

test('a plain value that goes on over thousands of lines is a mistake, not a crash', () => {
  // Each line goes on from the one before it, and the library folds them one inside the other.
  const text = `sources:\n  - path: /data/hplc\n${'     path: /data/hplc\n'.repeat(15_000)}`;
  for (const end of [
    '',
    "   t: /data/hplc\n    exclude: ['*.tmp']\nqueue:\n  maxBytes: 50 GiB\n",
  ]) {
    expect(mistakesOf(text + end)).toEqual(['1: is nested too deeply to be read']);
  }
});

test.each(['0.0.0.0:9464', '10.0.0.5:9464', '9464', ''])(
  'the page for Prometheus is refused at %s: others could reach it',
  (listen) => {
    const read = readConfig(`sources: [{path: /data}]\nmetrics: {listen: "${listen}"}\n`);
    expect(read).toMatchObject({
      mistakes: [{ message: expect.stringContaining('an address of this PC alone') }],
    });
  },
);

test('the page for Prometheus is off unless it is set, and says what is accepted', () => {
  expect(readConfig('sources: [{path: /data}]\n')).toMatchObject({
    config: expect.not.objectContaining({ metrics: expect.anything() }),
  });
  expect(
    readConfig('sources: [{path: /data}]\nmetrics: {listen: "127.0.0.1:9464"}\n'),
  ).toMatchObject({
    config: { metrics: { listen: '127.0.0.1:9464' } },
  });
  expect(readConfig('sources: [{path: /data}]\nmetrics: {port: 9464}\n')).toMatchObject({
    mistakes: expect.anything(),
  });
});

test.each([
  ['an escape that there is none', String.raw`sources: [{path: "C:\Data"}]`],
  ['a tab that was meant as a folder', String.raw`sources: [{path: "C:\temp"}]`],
  ['the same in a pattern', String.raw`sources: [{path: /data, exclude: ["C:\temp\*.tmp"]}]`],
])('a Windows path in double quotes gets the hint: %s', (_, text) => {
  const read = readConfig(text);
  expect('mistakes' in read && read.mistakes.map(({ message }) => message)).toContainEqual(
    expect.stringContaining(
      'in double quotes a backslash begins an escape; write the path without quotes, or in single ones',
    ),
  );
});
