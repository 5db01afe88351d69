import { existsSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { NO_LINKS, posixOnly } from '@aliquot/shared/testing/platform';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Bench, openBench, pathKey } from '../../testing/capture/bench.ts';
import { SourceWatch } from '../watch/source-watch.ts';
import { fromText, pathBytes } from './paths.ts';
import { quietTime } from './proof.ts';
import { nodeSource } from './source-port.ts';
import { windowsSource } from './windows-source.ts';

/** What Windows would say, by the last name of a path. */
let said: Record<string, { attributes?: number; tag?: number; streams?: string[] }>;
let opened: string[];
let bench: Bench;
beforeEach(async () => {
  bench = await openBench();
  said = {};
  opened = [];
  const of = (path: string) => said[path.split(/[\\/]/).at(-1) ?? ''];
  const port = {
    ...nodeSource,
    open: (path: Buffer) => {
      opened.push(path.toString().split(/[\\/]/).at(-1) ?? '');
      return nodeSource.open(path);
    },
  };
  bench.through(
    windowsSource(port, {
      attributes: (path) => of(path)?.attributes ?? 0x80,
      reparseTag: (path) => of(path)?.tag ?? 0,
      streams: (path) => of(path)?.streams ?? [],
    }),
  );
});
afterEach(() => bench.close());

const write = (name: string) => writeFileSync(join(bench.data, name), 'bytes');
const path = (name: string) => fromText(join(bench.data, name), '/');
const known = (name: string) => bench.queue.ledger.known(pathBytes(path(name)));
const problems = async () => {
  const found: string[] = [];
  for await (const { code, message } of bench.queue.ledger.problems())
    found.push(`${code}: ${message}`);
  return found;
};

describe('a source on Windows', () => {
  it('P2: read-only, hidden, system and archive are recorded, and a change of them is a new version', async () => {
    write('a');
    said = { a: { attributes: 0x2 | 0x20 | 0x2000 } };
    await bench.backup();
    expect(await known('a')).toMatchObject({ mode: 0x22 });
    expect((await bench.backup()).told).toEqual([]);
    said = { a: { attributes: 0x1 } };
    await bench.backup();
    expect(await known('a')).toMatchObject({ mode: 0x1 });
  });

  it('P6: a placeholder is named and never opened, until its content is here', async () => {
    write('cloud');
    for (const attributes of [0x1000, 0x40_0000, 0x4_0000]) {
      said = { cloud: { attributes } };
      await bench.backup();
      expect(await problems()).toEqual([
        expect.stringMatching(/^not-here: only a placeholder is here/),
      ]);
    }
    expect(opened).toEqual([]);
    said = {};
    await bench.backup();
    expect([await problems(), opened, (await known('cloud'))?.size]).toEqual([[], ['cloud'], 5]);
    // Captured, then put away: nothing is missing.
    said = { cloud: { attributes: 0x40_0000 } };
    await bench.backup();
    expect([await problems(), opened]).toEqual([[], ['cloud']]);
  });

  it('P6: a file that becomes a placeholder between the look and the read is not fetched either', async () => {
    write('late');
    let looks = 0;
    said = {
      late: {
        get attributes() {
          looks += 1;
          return looks > 1 ? 0x40_0000 : 0x80;
        },
      },
    };
    await bench.backup();
    expect([(await problems())[0], opened]).toEqual([expect.stringMatching(/^not-here/), []]);
  });

  it.runIf(posixOnly(NO_LINKS))(
    'P6: a junction is named, kept as a link and not followed; other links are kept without a word',
    async () => {
      symlinkSync('/elsewhere', join(bench.data, 'junction'));
      symlinkSync('/elsewhere', join(bench.data, 'link'));
      said = { junction: { tag: 0xa000_0003 }, link: { tag: 0xa000_000c } };
      for (let times = 0; times < 2; times += 1) {
        await bench.backup();
        expect(await problems()).toEqual([
          expect.stringMatching(/^junction: is a junction to \/elsewhere, which is not followed/),
        ]);
      }
      expect([(await known('junction'))?.kind, (await known('link'))?.kind]).toEqual([
        'symlink',
        'symlink',
      ]);
      unlinkSync(join(bench.data, 'junction'));
      await bench.backup();
      expect(await problems()).toEqual([]);
      expect(existsSync(join(bench.data, 'link'))).toBe(false);
    },
  );

  it('P6: streams are named with the capture of the file, and stay named while it stays; where it came from is no news', async () => {
    write('a');
    write('b');
    said = { a: { streams: ['notes', 'Zone.Identifier'] }, b: { streams: ['Zone.Identifier'] } };
    const { host, queue, problems: book, references, underWay, places, clock } = bench;
    const parts = {
      host,
      queue,
      problems: book,
      references,
      underWay,
      places,
      pathKey,
      clock,
      trustStamps: false,
    };
    const watch = new SourceWatch({ ...bench.source, proof: quietTime(0) }, parts);
    const scan = () => watch.scanAll(new AbortController().signal);
    for (let times = 0; times < 2; times += 1) {
      await scan();
      expect(await problems()).toEqual([
        expect.stringMatching(/^streams: its content is captured, but not .* the stream notes;/),
      ]);
    }
    expect(await known('a')).toMatchObject({ size: 5 });
    said = {};
    writeFileSync(join(bench.data, 'a'), 'other bytes');
    await scan();
    expect(await problems()).toEqual([]);
  });
});
