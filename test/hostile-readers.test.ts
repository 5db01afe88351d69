import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { seededSource } from '@aliquot/shared/testing/random';
import { describe, expect, it } from 'vitest';
import { isTest, readSources } from '../scripts/lib/sources.ts';
import { corpusOf } from './hostile/fuzz/corpus.ts';
import { attempt, fuzz } from './hostile/fuzz/fuzz.ts';
import { targets } from './hostile/fuzz/targets.ts';

const seed = Number(process.env['ALIQUOT_TEST_SEED'] ?? Date.now() % 2 ** 31);
/** A taste of `npm run test:torture -- --only fuzz-readers`. */
const INPUTS = 120;

describe(`readers of what others wrote (seed ${seed})`, () => {
  it.each(targets.map((target) => [target.name, target] as const))(
    'P5 %s: takes every input or refuses it with an error of ours, those of the corpus first',
    async (name, target) => {
      for (const kept of corpusOf(name)) {
        const result = await attempt(target, kept.bytes);
        expect([kept.name, result]).toEqual([kept.name, { way: expect.any(String) }]);
      }
      const { findings } = await fuzz(target, seededSource(seed).derive(name), {
        more: (done) => done < INPUTS,
        corpus: [],
      });
      expect(
        findings.map(
          ({ input, what }) =>
            `${what} (input ${Buffer.from(input.subarray(0, 200)).toString('hex')})`,
        ),
      ).toEqual([]);
    },
  );
});

/** A part of the row `item`, and what only calls another decoder. */
const others: readonly string[] = ['decodeItemRow', 'decodeBody', 'decodeEarlier'];

it('every decoder that somebody exports is a target, or part of one', () => {
  const root = fileURLToPath(new URL('..', import.meta.url));
  const fuzzed = ['targets.ts', 'own-disk.ts']
    .map((name) => readFileSync(join(root, 'test/hostile/fuzz', name), 'utf8'))
    .join('\n');
  const doors = readFileSync(join(root, 'proto/testing/arbitraries.ts'), 'utf8');
  const missing = readSources(root)
    .filter(({ path }) => /^(proto|shared|agent|collector)\/src\//.test(path) && !isTest(path))
    .flatMap(({ path, text }) =>
      [...text.matchAll(/^export (?:async )?(?:function|const) (decode[A-Z]\w*)/gm)].flatMap(
        ([, name = '']) =>
          new RegExp(`\\b${name}\\b`).test(fuzzed + doors) || others.includes(name)
            ? []
            : [`${path} ${name}`],
      ),
    );
  expect(missing).toEqual([]);
});
