import { FileError } from '@aliquot/shared/durable/errors';
import { expect, test } from 'vitest';
import { readConfig } from './config.ts';
import { type ConfigRead, ConfigWatch } from './config-watch.ts';

const textOf = (...paths: string[]) =>
  `sources: [${paths.map((path) => `{path: ${path}}`).join(', ')}]\n`;

const parse = (text: string): ConfigRead => {
  const read = readConfig(text, 'posix');
  return 'config' in read ? read : { mistake: read.mistakes[0]?.message ?? 'none' };
};

/** A watch over a text in memory, whose timer goes off when the test says so. */
function setUp(first = textOf('/data/a')) {
  const file: { text: string | undefined | Error } = { text: first };
  const read = parse(first);
  if (!('config' in read)) throw new Error(read.mistake);
  const changes: string[][] = [];
  const mistakes: (string | undefined)[] = [];
  let due: (() => void) | undefined;
  const watch = new ConfigWatch({
    readText: async () => {
      if (file.text instanceof Error) throw file.text;
      return file.text;
    },
    absent: () => ({ mistake: 'is not there any more' }),
    parse,
    timers: {
      after: (_, action) => {
        due = action;
        return () => {
          due = undefined;
        };
      },
    },
    inForce: read.config,
    onChange: ({ sources }) => void changes.push(sources.map(({ path }) => path)),
    onMistake: (mistake) => void mistakes.push(mistake),
  });
  watch.start();
  const look = async () => {
    const action = due;
    due = undefined;
    action?.();
    for (let turns = 0; turns < 50 && due === undefined; turns += 1) await Promise.resolve();
  };
  return { file, watch, look, changes, mistakes, waits: () => due !== undefined };
}

test('another text is in force after two looks have seen it, so a half written one is not', async () => {
  const { file, look, changes } = setUp();
  file.text = textOf('/data/b');
  await look();
  expect(changes).toEqual([]);
  file.text = textOf('/data/b', '/data/c');
  await look();
  expect(changes).toEqual([]);
  await look();
  expect(changes).toEqual([['/data/b', '/data/c']]);
  await look();
  expect(changes).toHaveLength(1);
});

test('a person who says that the file is finished is believed at once', async () => {
  const { file, watch, changes } = setUp();
  file.text = textOf('/data/b');
  await watch.lookNow();
  expect(changes).toEqual([['/data/b']]);
});

test('another spelling of the same changes nothing', async () => {
  const { file, watch, changes, mistakes } = setUp();
  file.text = `# a remark\n${textOf('/data/a/')}`;
  await watch.lookNow();
  expect(changes).toEqual([]);
  expect(mistakes).toEqual([]);
});

for (const [what, broken, says] of [
  ['a mistake', 'sources: [{path: data}]', /absolute/],
  ['a missing file', undefined, /not there any more/],
  ['an empty file', '', /sources/],
  [
    'a file that cannot be read',
    new FileError('FILE_IO', 'agent.yaml cannot be read: permission denied'),
    /permission denied/,
  ],
] as const) {
  test(`${what} is told once and leaves the old in force; once mended, that is told too`, async () => {
    const { file, watch, changes, mistakes } = setUp();
    file.text = broken;
    await watch.lookNow();
    await watch.lookNow();
    expect(mistakes).toEqual([expect.stringMatching(says)]);
    file.text = textOf('/data/a');
    await watch.lookNow();
    expect(mistakes).toHaveLength(2);
    expect(mistakes[1]).toBeUndefined();
    expect(changes).toEqual([]);
  });
}

test('a defect while reading is not taken for a mistake of the file', async () => {
  const { file, watch } = setUp();
  file.text = new TypeError('a defect');
  await expect(watch.lookNow()).rejects.toThrow('a defect');
});

test('nothing is looked at after the end', async () => {
  const { file, watch, changes, waits } = setUp();
  await watch.stop();
  file.text = textOf('/data/b');
  await watch.lookNow();
  expect(changes).toEqual([]);
  expect(waits()).toBe(false);
});
