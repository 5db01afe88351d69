import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compile, compilerNote, hasCompiler } from './testing/compile.ts';

const [before, after] = ['1.0.0', '2.0.0'];
const TRIAL_MS = '600000';
/** What `drive` ends with where it was told to end at an operation. */
const CRASHED = 99;

type Files = Readonly<Record<string, string>>;

interface Life {
  readonly files: Files;
  readonly events: readonly string[];
  /** What runs at the end where nothing failed. */
  readonly ends: string;
}

const asks = ['next', 'start', 'end', '75'];
const dies = ['next', 'start', 'end', '1'];
const proves = ['next', 'start', 'confirm', 'wait', TRIAL_MS, 'look'];
const staged: Files = { current: `${before}\n`, staged: `${after}\n` };

const lives: Readonly<Record<string, Life>> = {
  'a good version': {
    files: staged,
    events: [...asks, ...proves, 'end', '1', 'next'],
    ends: after,
  },
  'a version that dies three times': {
    files: staged,
    events: [...asks, ...dies, ...dies, ...dies, 'next'],
    ends: before,
  },
  'a version that never has a session': {
    files: staged,
    events: [...asks, 'next', 'start', 'wait', TRIAL_MS, 'look', 'end', '256', 'next'],
    ends: before,
  },
  'a version that confirms and then dies, each time': {
    files: staged,
    events: [
      ...asks,
      ...Array.from({ length: 3 }, () => [
        'next',
        'start',
        'confirm',
        'wait',
        '60000',
        'look',
        'end',
        '1',
      ]).flat(),
      'next',
    ],
    ends: before,
  },
  'a trial over a stop of the PC': {
    files: staged,
    events: [...asks, 'next', 'start', 'stop', ...proves, 'next'],
    ends: after,
  },
  'a bad version that the desk names anew': {
    files: { ...staged, bad: `0.9.0 died\n${after} no-session\n`, confirmed: `${after} 1\n` },
    events: [...asks, ...dies, ...proves, 'next'],
    ends: after,
  },
  'a setup that put another version there during a trial': {
    files: { current: '3.0.0\n', trial: `${after} ${before} 1\n` },
    events: ['next', 'start', 'end', '1', 'next'],
    ends: '3.0.0',
  },
};

describe.skipIf(!hasCompiler)(`the switch of the service host${compilerNote}`, () => {
  let built: ReturnType<typeof compile>;
  let roots: string;
  beforeAll(() => {
    // In memory where that can be: thousands of flushes prove no more on a disk.
    roots = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'aliquot-switch-'));
    built = compile(['switch.c', 'files.c', 'testing/drive.c'], ['FILES_TEST']);
  });
  afterAll(() => {
    for (const folder of [built.folder, roots]) rmSync(folder, { recursive: true, force: true });
  });

  /** An install folder with these files beside three whole versions. */
  function install(files: Files): string {
    const root = mkdtempSync(join(roots, 'root-'));
    for (const version of [before, after, '3.0.0'])
      mkdirSync(join(root, 'versions', version), { recursive: true });
    for (const [name, text] of Object.entries(files)) writeFileSync(join(root, name), text);
    return root;
  }

  function drive(
    root: string,
    events: readonly string[],
    env: Readonly<Record<string, string>> = {},
  ) {
    const log = `${root}.log`;
    rmSync(log, { force: true });
    const { status, stdout, stderr } = spawnSync(built.program, [root, ...events], {
      encoding: 'utf8',
      env: { FILES_LOG: log, ...env },
    });
    expect(stderr).toBe('');
    const lines = stdout.split('\n').filter(Boolean);
    const operations = existsSync(log) ? readFileSync(log, 'utf8').split('\n').filter(Boolean) : [];
    const started = lines
      .filter((line) => line.startsWith('next '))
      .map((line) => line.slice('next '.length));
    return {
      status,
      lines,
      operations,
      started,
      waits: lines.filter((line) => line.startsWith('wait ')),
    };
  }

  const text = (root: string, name: string) =>
    existsSync(join(root, name)) ? readFileSync(join(root, name), 'utf8') : undefined;
  const isBad = (root: string, version: string) =>
    (text(root, 'bad') ?? '').split('\n').some((line) => line.startsWith(`${version} `));

  /**
   * What any crash or failure must leave: one version that starts, and a way on from there in both
   * futures.
   */
  function judge(root: string, files: Files) {
    const [current] = (text(root, 'current') ?? '').split('\n');
    const first = drive(root, ['next']).started;
    const [version = '', trial] = (first[0] ?? '').split(' ');
    expect(first).toHaveLength(1);
    expect(existsSync(join(root, 'versions', version))).toBe(true);
    expect(version === current || trial === 'trial').toBe(true);
    if (trial === 'trial') expect(isBad(root, version)).toBe(false);
    // It proves itself: it stays.
    expect(drive(root, [...proves, 'next']).started.at(-1)).toBe(text(root, 'current')?.trim());
    // Or it dies whenever it is started: the host comes to rest at what `current` names.
    for (const [name, was] of Object.entries(files))
      if (name === 'staged') writeFileSync(join(root, name), was);
    const { started } = drive(root, [...asks, ...dies, ...dies, ...dies, ...dies, 'next', 'next']);
    expect(started.slice(-2)).toEqual([
      text(root, 'current')?.trim(),
      text(root, 'current')?.trim(),
    ]);
  }

  for (const [name, { files, events, ends }] of Object.entries(lives)) {
    it(`ends with the right version after ${name}`, () => {
      const root = install(files);
      expect(drive(root, events).started.at(-1)).toBe(ends);
      expect(drive(root, ['next']).started).toEqual([ends]);
      // Nothing half written, and nothing of the trial is left.
      expect(readdirSync(root).filter((file) => /\.new$|^(trial|staged)$/.test(file))).toEqual([]);
    });

    it(`I-H1 starts one whole version whichever operation is the last one before a crash: ${name}`, () => {
      const { operations } = drive(install(files), events);
      expect(operations.length).toBeGreaterThan(3);
      for (let at = 1; at <= operations.length; at += 1) {
        const root = install(files);
        expect(drive(root, events, { FILES_CRASH: `${at}` }).status).toBe(CRASHED);
        judge(root, files);
        rmSync(root, { recursive: true });
      }
    });

    it(`I-H1 I-H3 starts one whole version whichever operation fails: ${name}`, () => {
      const { operations } = drive(install(files), events);
      for (const [index, operation] of operations.entries()) {
        const root = install(files);
        const { status, started } = drive(root, events, { FILES_FAIL: `${index + 1}` });
        expect(status).toBe(0);
        // Only where `current` itself cannot be read there is nothing to start, and the host asks
        // again.
        expect(started.filter((version) => version === '-').length).toBeLessThanOrEqual(
          operation === 'read current' ? 1 : 0,
        );
        if (isBad(root, after) && !isBad(install(files), after))
          expect(drive(root, ['next']).started).toEqual([before]);
        judge(root, files);
        rmSync(root, { recursive: true });
      }
    });

    it(`I-H3 starts one whole version on a disk that is full from any operation on: ${name}`, () => {
      const { operations } = drive(install(files), events);
      for (let at = 1; at <= operations.length; at += 1) {
        const root = install(files);
        const { started } = drive(root, events, { FILES_FULL: `${at}` });
        expect(started).not.toContain('-');
        if (ends === before) expect(started.at(-1)).toBe(before);
        judge(root, files);
        rmSync(root, { recursive: true });
      }
    });
  }

  it('I-H2 flushes a file before it takes its name, and the folder before the next change', () => {
    for (const { files, events } of Object.values(lives)) {
      const changes = drive(install(files), events).operations.filter(
        (line) => !line.startsWith('read '),
      );
      const text = changes.join('\n');
      const whole =
        /^((create (\w+)\nwrite \3\nflush \3\nrename \3\nflush-folder \3|remove (\w+)(\nflush-folder \4)?)(\n|$))*$/;
      expect(text).toMatch(whole);
    }
  });

  it('I-H4 never starts a bad version again by itself, and counts every start on trial before it happens', () => {
    const root = install({ current: `${before}\n`, trial: `${after} ${before} 0\n` });
    // The host is killed right after it started the child, again and again.
    const started = Array.from({ length: 5 }, () => drive(root, ['next', 'start']).started[0]);
    expect(started).toEqual([`${after} trial`, `${after} trial`, `${after} trial`, before, before]);
    expect(text(root, 'bad')).toBe(`${after} died\n`);
  });

  it('a stop that was asked for counts against no version', () => {
    const root = install({ current: `${before}\n`, trial: `${after} ${before} 0\n` });
    for (let day = 0; day < 10; day += 1)
      expect(drive(root, ['next', 'start', 'stop']).started).toEqual([`${after} trial`]);
  });

  it('believes a confirmation only of the child that runs', () => {
    const events = [
      ...asks,
      'next',
      'start',
      'confirm',
      'end',
      '1',
      'next',
      'start',
      'wait',
      TRIAL_MS,
      'look',
    ];
    expect(drive(install(staged), events).lines.at(-1)).toBe('look end it');
  });

  it('waits 5 s, 30 s, then 5 min before it starts a child again, and 5 s again after one that lived', () => {
    const root = install({ current: `${before}\n` });
    const { waits } = drive(root, [
      ...dies,
      ...dies,
      ...dies,
      ...dies,
      'next',
      'start',
      'wait',
      TRIAL_MS,
      'end',
      '1',
    ]);
    expect(waits).toEqual(['wait 5000', 'wait 30000', 'wait 300000', 'wait 300000', 'wait 5000']);
  });

  it('goes back at once, and waits where it was asked for a trial of nothing', () => {
    expect(drive(install(staged), [...asks, ...dies, ...dies, ...dies]).waits.at(-1)).toBe(
      'wait 0',
    );
    expect(drive(install({ current: `${before}\n` }), asks).waits).toEqual(['wait 5000']);
  });

  it('takes no name that leads out of the folder of versions', () => {
    for (const name of ['../evil', '..', '.hidden', 'a/b', 'a\\b', 'C:evil', 'x'.repeat(65), '']) {
      const root = install({ current: `${before}\n`, staged: `${name}\n` });
      expect(drive(root, [...asks, 'next']).started.at(-1)).toBe(before);
      expect(drive(install({ current: `${name}\n` }), ['next']).started).toEqual(['-']);
    }
  });

  it('keeps the newest bad versions when there are very many', () => {
    const bad = Array.from({ length: 150 }, (_, index) => `0.${index}.0 died\n`).join('');
    const root = install({ ...staged, bad: bad.slice(-2040).replace(/^[^\n]*\n/, '') });
    drive(root, [...asks, ...dies, ...dies, ...dies]);
    expect(text(root, 'bad')?.endsWith(`0.149.0 died\n${after} died\n`)).toBe(true);
    expect(text(root, 'bad')?.length).toBeLessThanOrEqual(2048);
  });
});
