import { expect, it } from 'vitest';
import { problemList } from './problem-list.ts';

const of = (
  name: string,
  code: string,
  more: { count?: number; brief?: string; message?: string } = {},
) => ({
  name,
  problem: { code, sinceMs: 0, message: 'it is so', ...more },
});

it('like problems stand together, each agent with how much', () => {
  const text = problemList([
    of('hplc-1', 'unprotected', { count: 3 }),
    of('hplc-1', 'silent', { brief: '3 d 2 h' }),
    of('hplc-2', 'unprotected', { count: 1 }),
  ]);
  expect(text.split('\n')).toEqual([
    'unprotected files: hplc-1 (3), hplc-2 (1)',
    '  `aliquot-agent status` on that PC names them and says what to do',
    'silent for longer than usual: hplc-1 (3 d 2 h)',
    '  is that PC off, or its service stopped?',
  ]);
});

it('what has its own words for each keeps them', () => {
  const message =
    'two histories; if it is this PC itself: aliquot fork decide hplc-1~0a1b2c3d --restored';
  const lines = problemList([
    of('hplc-1', 'chain-forked', { message }),
    of('the collector', 'disk-full'),
  ]).split('\n');
  expect(lines[0]).toBe('chain-forked:');
  expect(
    lines
      .slice(1, -2)
      .map((line) => line.trim())
      .join(' '),
  ).toBe(`hplc-1: ${message}`);
  expect(lines.slice(-2)).toEqual(['disk-full:', '  the collector: it is so']);
});

it('many agents with long names fit 80 columns, and no name is cut', () => {
  const names = Array.from({ length: 40 }, (_, at) => `sequencing-facility-north-instrument-${at}`);
  const text = problemList(names.map((name) => of(name, 'unprotected', { count: 12 })));
  expect(text.split('\n').filter((line) => line.length > 80)).toEqual([]);
  for (const name of names) expect(text.split(/[ ,\n]+/)).toContain(name);
});

it('a code that only the PC knows is named with it, and cannot steer a terminal', () => {
  expect(problemList([of('a\u001b[2J', 'not-known-here', { count: 1 })])).toMatch(
    /^not-known-here \(at the PC\): a\\x1b\[2J \(1\)\n/,
  );
});
