import { mkdirSync, renameSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { sep } from 'node:path';
import { NO_LINKS, posixOnly } from '@aliquot/shared/testing/platform';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openServiceBench, type ServiceBench } from '../../testing/service/bench.ts';
import { readConfig } from '../service/config.ts';
import type { Request } from '../socket/protocol.ts';
import { fromText, pathBytes } from '../source/paths.ts';
import { PlaceBook } from '../source/places.ts';
import { SourceWatch } from '../watch/source-watch.ts';
import { ConfiguredSources, type SourceSet } from './source-set.ts';

let lab: ServiceBench;
const never = new AbortController().signal;

beforeEach(async () => {
  lab = await openServiceBench();
  mkdirSync(lab.at('real'));
  writeFileSync(lab.at('real/a'), 'alpha');
  writeFileSync(lab.at('real/b'), 'beta');
});
afterEach(() => lab.close());

const sourcesOf = (...lines: string[]): SourceSet => {
  const read = readConfig(`sources:\n${lines.map((line) => `  - ${line}\n`).join('')}`);
  if (!('config' in read)) throw new Error(JSON.stringify(read));
  const { agent, bench } = lab;
  const { port, identity, ownFolders } = agent;
  return new ConfiguredSources(read.config.sources, {
    host: bench.host,
    port,
    places: bench.places,
    pathKey: identity.pathKey,
    ownFolders,
  });
};
const watching = (name: string, more = '') =>
  sourcesOf(`{path: ${JSON.stringify(lab.at(name))}, quietPeriodSeconds: 0${more}}`);
const nameOf = (path: Uint8Array) =>
  Buffer.from(path)
    .toString()
    .slice(lab.bench.data.length + 1)
    .replaceAll(sep, '/');
const roots = (sources: SourceSet) => sources.now.map(({ root }) => nameOf(pathBytes(root)));

/** One whole scan of everything that is watched now, as the service does it. */
async function scan(sources: SourceSet) {
  const { host, queue, problems, references, underWay, places, clock } = lab.bench;
  const { pathKey } = lab.agent.identity;
  const parts = {
    host,
    queue,
    problems,
    references,
    underWay,
    places,
    pathKey,
    clock,
    trustStamps: false,
  };
  for (const source of await sources.refresh()) await new SourceWatch(source, parts).scanAll(never);
}
/** `code name`, for each problem. */
async function problems(): Promise<string[]> {
  const found: string[] = [];
  for await (const { code, path } of lab.bench.queue.ledger.problems())
    found.push(`${code} ${nameOf(path)}`);
  return found;
}
async function known(): Promise<string[]> {
  const names: string[] = [];
  for await (const { path, kind } of lab.bench.queue.ledger.knownUnder(Buffer.from(lab.bench.data)))
    if (kind !== 'directory') names.push(nameOf(path));
  return names;
}
const backup = (sources: SourceSet, names: string[], acceptGone = false, exclude: string[] = []) =>
  lab.perform(
    { op: 'backup', paths: names.map(lab.at), exclude, offline: true, dryRun: false, acceptGone },
    { sources },
  );

describe.runIf(posixOnly(NO_LINKS))('P6: a watched folder that is a symbolic link', () => {
  test('is captured under both names', async () => {
    symlinkSync('real', lab.at('link'));
    const sources = watching('link');
    await scan(sources);
    expect(roots(sources)).toEqual(['link', 'real']);
    expect(await known()).toEqual(['link', 'real/a', 'real/b']);
    expect(await problems()).toEqual([]);
    // The same as a person’s command finds, so nothing is new to it.
    expect((await backup(sources, ['link'])).events.at(-1)).toMatchObject({
      event: 'summary',
      newFiles: 0,
      unchanged: 2,
      failed: 0,
    });
  });

  test('over several links, to a folder outside', async () => {
    symlinkSync('real', lab.at('inner'));
    symlinkSync('inner', lab.at('link'));
    await scan(watching('link'));
    expect(await known()).toEqual(['link', 'real/a', 'real/b']);
  });

  test('is not looked into by its own name, whatever an event says', async () => {
    symlinkSync('real', lab.at('link'));
    const sources = watching('link');
    await scan(sources);
    const { host, queue, problems: book, references, underWay, places, clock } = lab.bench;
    const parts = {
      host,
      queue,
      problems: book,
      references,
      underWay,
      places,
      pathKey: lab.agent.identity.pathKey,
      clock,
    };
    const [link] = sources.now;
    if (link === undefined) throw new Error('no source');
    const watch = new SourceWatch(link, { ...parts, trustStamps: false });
    watch.touch(fromText(lab.at('link/a'), '/'));
    expect(watch.nextMs()).toBeUndefined();
  });

  for (const [what, exclude] of [
    ['a name', '"a"'],
    ['a path by the name of the link', 'LINK/a'],
    ['a path by the name of what it leads to', '"**/a"'],
  ] as const) {
    test(`leaves out what is excluded by ${what}`, async () => {
      symlinkSync('real', lab.at('link'));
      await scan(watching('link', `, exclude: [${exclude.replace('LINK', lab.at('link'))}]`));
      expect(await known()).toEqual(['link', 'real/b']);
    });
  }

  test('does not take a longer name for its own in a pattern', async () => {
    symlinkSync('real', lab.at('link'));
    const read = readConfig(
      `sources: [{path: ${lab.at('link')}, exclude: ["${lab.at('link')}2/a"]}]`,
    );
    expect('mistakes' in read && read.mistakes[0]?.message).toMatch(/lies outside/);
  });

  test('to a folder that another source watches is watched once', async () => {
    symlinkSync('real', lab.at('link'));
    const sources = sourcesOf(`{path: ${lab.at('link')}}`, `{path: ${lab.at('real')}, class: raw}`);
    await sources.refresh();
    expect(roots(sources)).toEqual(['link', 'real']);
    expect(sources.now[1]).toMatchObject({ class: 'raw' });
  });

  test('two links to one folder watch it once', async () => {
    symlinkSync('real', lab.at('one'));
    symlinkSync('real', lab.at('two'));
    const sources = sourcesOf(`{path: ${lab.at('one')}}`, `{path: ${lab.at('two')}}`);
    await sources.refresh();
    expect(roots(sources)).toEqual(['one', 'two', 'real']);
  });

  test('to a folder that holds the link is captured, without going in circles', async () => {
    mkdirSync(lab.at('real/in'));
    symlinkSync('..', lab.at('real/in/link'));
    await scan(watching('real/in/link'));
    expect(await known()).toEqual(['real/a', 'real/b', 'real/in/link']);
  });

  test('that leads to nothing is a problem, until it leads somewhere', async () => {
    symlinkSync('nowhere', lab.at('link'));
    const sources = watching('link');
    await scan(sources);
    expect(await problems()).toEqual(['root-missing link']);
    const done = await backup(sources, ['link']);
    expect(done.code).toBe('PARTIAL');
    renameSync(lab.at('real'), lab.at('nowhere'));
    await scan(sources);
    expect(await problems()).toEqual([]);
    expect(await known()).toEqual(['link', 'nowhere/a', 'nowhere/b']);
  });

  test('that leads in a circle is a problem', async () => {
    symlinkSync('two', lab.at('one'));
    symlinkSync('one', lab.at('two'));
    await scan(watching('one'));
    expect(await problems()).toEqual(['root-missing one']);
  });

  test('that leads into the agent’s own folder is a problem, and nothing of that is captured', async () => {
    symlinkSync(lab.bench.own, lab.at('link'));
    await scan(watching('link'));
    expect(await problems()).toEqual(['root-missing link']);
    expect(await known()).toEqual(['link']);
  });

  test('whose end goes away for a while loses nothing', async () => {
    symlinkSync('real', lab.at('link'));
    const sources = watching('link');
    await scan(sources);
    renameSync(lab.at('real'), lab.at('away'));
    await scan(sources);
    expect(await problems()).toEqual(['root-missing link', 'root-missing real']);
    mkdirSync(lab.at('real'));
    await scan(sources);
    expect(await problems()).toEqual(['replaced real']);
    rmSync(lab.at('real'), { recursive: true });
    renameSync(lab.at('away'), lab.at('real'));
    await scan(sources);
    expect(await problems()).toEqual([]);
    expect(await known()).toEqual(['link', 'real/a', 'real/b']);
  });
});

describe.runIf(posixOnly(NO_LINKS))('P6: a link that leads elsewhere than before', () => {
  const moved = async (sources: SourceSet) => {
    symlinkSync('real', lab.at('link'));
    await scan(sources);
    mkdirSync(lab.at('other'));
    writeFileSync(lab.at('other/c'), 'gamma');
    unlinkSync(lab.at('link'));
    symlinkSync('other', lab.at('link'));
  };

  test('brings the new place, keeps the old one, and is a problem until a person says that it is right', async () => {
    const sources = watching('link');
    await moved(sources);
    await scan(sources);
    expect(await known()).toEqual(['link', 'other/c', 'real/a', 'real/b']);
    expect(await problems()).toEqual(['link-moved link']);
    // What still comes where it led before is captured.
    writeFileSync(lab.at('real/d'), 'delta');
    await scan(sources);
    expect(await known()).toContain('real/d');

    expect((await backup(sources, ['link'])).code).toBe('PARTIAL');
    expect((await backup(sources, ['link'], true)).code).toBeUndefined();
    await scan(sources);
    expect(await problems()).toEqual([]);
    expect(roots(sources)).toEqual(['link', 'other']);
    // Not gone: it is there, and was only left.
    expect(await known()).toContain('real/a');
  });

  test('is remembered over a restart, and the old place that went away is gone only by a person’s word', async () => {
    await moved(watching('link'));
    rmSync(lab.at('real'), { recursive: true });
    lab.bench.places = await PlaceBook.open(lab.agent.port, lab.bench.own);
    const sources = watching('link');
    expect(roots(sources)).toEqual(['link', 'real']);
    await scan(sources);
    expect(await problems()).toEqual(['link-moved link', 'root-missing real']);
    const { places } = lab.bench;
    const request: Request = {
      op: 'backup',
      paths: [lab.at('link')],
      exclude: [],
      offline: true,
      dryRun: false,
      acceptGone: true,
    };
    expect((await lab.perform(request, { sources, places })).code).toBeUndefined();
    expect(await known()).toEqual(['link', 'other/c']);
    expect(await problems()).toEqual([]);
  });

  test('and back again is no problem any more', async () => {
    const sources = watching('link');
    await moved(sources);
    await scan(sources);
    unlinkSync(lab.at('link'));
    symlinkSync('real', lab.at('link'));
    await scan(sources);
    // It led to the other place meanwhile, and that is watched until somebody says that it is done
    // with.
    expect(await problems()).toEqual(['link-moved link']);
    await backup(sources, ['link'], true);
    await scan(sources);
    expect(await problems()).toEqual([]);
    expect(roots(sources)).toEqual(['link', 'real']);
  });

  test('and a folder that became a link to where it was moved: nothing of its own name is gone without a word', async () => {
    const sources = watching('real');
    await scan(sources);
    renameSync(lab.at('real'), lab.at('moved'));
    symlinkSync('moved', lab.at('real'));
    await scan(sources);
    expect(await problems()).toEqual(['replaced real']);
    expect(await known()).toEqual(['moved/a', 'moved/b', 'real', 'real/a', 'real/b']);
    await backup(sources, ['real'], true);
    await scan(sources);
    expect(await problems()).toEqual([]);
    expect(await known()).toEqual(['moved/a', 'moved/b', 'real']);
  });

  test('and a link that became a folder: the folder is watched, and where it led', async () => {
    symlinkSync('real', lab.at('link'));
    const sources = watching('link');
    await scan(sources);
    unlinkSync(lab.at('link'));
    mkdirSync(lab.at('link'));
    writeFileSync(lab.at('link/n'), 'new');
    await scan(sources);
    expect(await problems()).toEqual(['link-moved link']);
    expect(await known()).toEqual(['link/n', 'real/a', 'real/b']);
  });

  test('is noticed by a person’s command alone, without a configuration', async () => {
    symlinkSync('real', lab.at('link'));
    const none = lab.agent.sources;
    expect((await backup(none, ['link'])).code).toBeUndefined();
    mkdirSync(lab.at('other'));
    writeFileSync(lab.at('other/c'), 'gamma');
    unlinkSync(lab.at('link'));
    symlinkSync('other', lab.at('link'));
    expect((await backup(none, ['link'])).code).toBe('PARTIAL');
    expect(await known()).toEqual(['link', 'other/c', 'real/a', 'real/b']);
    expect((await backup(none, ['link'], true)).code).toBeUndefined();
    expect((await backup(none, ['link'])).code).toBeUndefined();
  });
});

describe('P6: a watched folder that is none', () => {
  test('but a file: it is captured, and that is said', async () => {
    const sources = watching('real/a');
    await scan(sources);
    expect(await known()).toEqual(['real/a']);
    expect(await problems()).toEqual(['root-file real/a']);
  });

  test.runIf(posixOnly(NO_LINKS))('but a link to a file', async () => {
    symlinkSync('real/a', lab.at('link'));
    await scan(watching('link'));
    expect(await known()).toEqual(['link', 'real/a']);
    expect(await problems()).toEqual(['root-file link']);
  });

  test('because it was never there', async () => {
    const sources = watching('nowhere');
    await scan(sources);
    expect(await problems()).toEqual(['root-missing nowhere']);
    const done = await backup(sources, ['nowhere']);
    expect(done.code).toBe('USAGE_INVALID');
  });

  test('any more, but a file in its place: what was in it is not gone', async () => {
    const sources = watching('real');
    await scan(sources);
    rmSync(lab.at('real'), { recursive: true });
    writeFileSync(lab.at('real'), 'a file');
    await scan(sources);
    expect(await known()).toEqual(['real', 'real/a', 'real/b']);
    expect((await problems()).length).toBe(1);
  });

  test('any more, but an empty one in its place', async () => {
    const sources = watching('real');
    await scan(sources);
    rmSync(lab.at('real'), { recursive: true });
    mkdirSync(lab.at('real'));
    await scan(sources);
    expect(await problems()).toEqual(['replaced real']);
    expect((await backup(sources, ['real'])).code).toBe('PARTIAL');
    expect(await known()).toEqual(['real/a', 'real/b']);
    const done = await backup(sources, ['real'], true);
    expect(done.code).toBeUndefined();
    expect(done.events.at(-1)).toMatchObject({ event: 'summary', gone: 2 });
    expect(await problems()).toEqual([]);
  });

  test('any more, and a person says so', async () => {
    const sources = watching('real');
    await scan(sources);
    rmSync(lab.at('real'), { recursive: true });
    expect((await backup(sources, ['real'])).code).toBe('USAGE_INVALID');
    const done = await backup(sources, ['real'], true);
    expect(done.events.at(-1)).toMatchObject({ event: 'summary', gone: 3 });
    expect(await known()).toEqual([]);
  });
});
