import { describe, expect, test } from 'vitest';
import { type Effective, effectiveSettings } from './effective.ts';

const desk = (text: string) => ({ sequence: 12, text });

function effective(told: string | undefined, own?: string): Effective {
  const now = effectiveSettings(told === undefined ? undefined : desk(told), own);
  if ('mistakes' in now) throw new Error(JSON.stringify(now.mistakes));
  return now;
}

const values = (now: Effective) =>
  Object.fromEntries(
    now.values.map(({ setting, value, origins }) => [setting, `${value} (${origins.join('+')})`]),
  );

describe.runIf(process.platform !== 'win32')('what counts on a PC', () => {
  test('is agent.yaml alone where the desk says nothing, and must be whole then', () => {
    expect(effective(undefined, 'sources: [{path: /a}]').config.sources).toMatchObject([
      { path: '/a' },
    ]);
    expect(effectiveSettings(undefined, 'workers: 2')).toMatchObject({ mistakes: [{ line: 1 }] });
    expect(effectiveSettings(undefined, undefined)).toMatchObject({
      mistakes: [{ message: expect.stringContaining('is not there') }],
    });
  });

  test('each value has its origin: built in, the desk, this PC', () => {
    const now = effective(
      'sources: [{path: /desk}]\nworkers: 2\n',
      'sources: [{path: /mine, class: raw}]\n',
    );
    expect(values(now)).toMatchObject({
      workers: '2 (desk)',
      scanIntervalSeconds: '300 (built-in)',
      'sources /desk': 'watched (desk)',
      'sources /desk class': 'default (built-in)',
      'sources /mine': 'watched (pc)',
      'sources /mine class': 'raw (pc)',
    });
  });

  test('agent.yaml adds folders and reasons to hold still, and takes nothing away', () => {
    const now = effective(
      'sources: [{path: /desk, exclude: []}]\ncourtesy: {maxCpuPercent: 50, pauseWhile: [{process: a.exe}]}\n',
      'sources: [{path: /desk, exclude: ["*"]}, {path: /mine}]\ncourtesy: {maxCpuPercent: 400, pauseWhile: [{process: b.exe}]}\nworkers: 8\n',
    );
    expect(now.config.sources).toMatchObject([{ path: '/desk', exclude: [] }, { path: '/mine' }]);
    expect(now.config.courtesy).toMatchObject({
      maxCpuPercent: 50,
      pauseWhile: [{ process: 'a.exe' }, { process: 'b.exe' }],
    });
    expect(now.config.workers).toBeUndefined();
    expect(values(now)['courtesy.pauseWhile']).toContain('(desk+pc)');
    expect(now.unused.map(({ message }) => message)).toEqual([
      '"courtesy.maxCpuPercent" has no effect: central IT lets this file add sources, pauseWhile',
      '"workers" has no effect: central IT lets this file add sources, pauseWhile',
    ]);
  });

  test('a word in "local" lets agent.yaml fill in what the desk does not say, and no more', () => {
    const told = 'local: [queue, workers, logLevel]\nworkers: 3\nqueue: {maxBytes: 2GB}\n';
    const now = effective(
      told,
      'workers: 8\nlogLevel: debug\nqueue: {maxBytes: 1GB, minFreeBytes: 5GB}\n',
    );
    expect(now.config).toMatchObject({
      workers: 3,
      logLevel: 'debug',
      queue: { maxBytes: 2e9, minFreeBytes: 5e9 },
    });
    expect(now.unused).toEqual([]);
    expect(effective('local: []', 'sources: [{path: /mine}]').config.sources).toEqual([]);
  });

  test('where agent.yaml has mistakes, or does not fit, the desk’s settings count alone, and it is named', () => {
    const wrong = effective('sources: [{path: /desk}]', 'sources: [{path: mine}]\nworker: 1\n');
    expect(wrong.config.sources).toMatchObject([{ path: '/desk' }]);
    expect(wrong.unused.map(({ line }) => line)).toEqual([1, 2]);
    const inside = effective('sources: [{path: /desk}]', 'sources: [{path: /desk/in}]');
    expect(inside.config.sources).toMatchObject([{ path: '/desk' }]);
    expect(inside.unused[0]?.message).toContain('does not fit the desk’s settings');
  });

  test('what only the desk says comes through, and no agent.yaml can say it', () => {
    expect(effective('update: {version: "0.2.0", window: "22:00-05:00"}').update).toEqual({
      version: '0.2.0',
      window: '22:00-05:00',
    });
    expect(effective('sources: []', 'update: {version: "9.9.9"}').unused[0]?.message).toContain(
      '"update" is not a setting',
    );
  });
});
