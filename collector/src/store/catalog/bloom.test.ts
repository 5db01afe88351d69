import { sha256 } from '@aliquot/shared/crypto/primitives';
import { describe, expect, test } from 'vitest';
import { seededRandom } from '../../../testing/store/world.ts';
import { Bloom } from './bloom.ts';
import { GrowingBloom } from './growing-bloom.ts';

const idOf = (text: string) => sha256(Buffer.from(text));

describe('a Bloom table', () => {
  test('never forgets an id, wherever it stands in other bytes', () => {
    const table = new Bloom(1000, seededRandom('bloom').bytes(16));
    const bytes = Buffer.concat(Array.from({ length: 1000 }, (_, at) => idOf(`chunk ${at}`)));
    for (let at = 0; at < 1000; at += 1) table.add(bytes, 32 * at);
    for (let at = 0; at < 1000; at += 1) expect(table.has(idOf(`chunk ${at}`))).toBe(true);
  });

  test('takes few for added that never were, and others with another salt', () => {
    // As many as fill it: a power of two bits.
    const count = Math.floor(2 ** 18 / 10);
    const tables = ['a', 'b'].map((seed) => new Bloom(count, seededRandom(seed).bytes(16)));
    for (let at = 0; at < count; at += 1) for (const table of tables) table.add(idOf(`in ${at}`));
    const wrong = tables.map(
      (table) =>
        new Set(
          Array.from({ length: 20_000 }, (_, at) => at).filter((at) =>
            table.has(idOf(`out ${at}`)),
          ),
        ),
    );
    for (const some of wrong) expect(some.size).toBeLessThan(20_000 / 60);
    const [one = new Set(), other = new Set()] = wrong;
    expect([...one].filter((at) => other.has(at)).length).toBeLessThan(one.size / 4);
  });
});

test('of which nobody knows how many come, it grows: none is forgotten, and few others seem added', () => {
  let salts = 0;
  const bloom = new GrowingBloom(() => sha256(Buffer.from(`salt ${salts++}`)).subarray(0, 16), 512);
  const idAt = (number: number) => sha256(Buffer.from(`id ${number}`));
  const many = 40 * 512;
  for (let at = 0; at < many; at += 1) {
    bloom.add(idAt(at));
    // The same again takes no room.
    bloom.add(idAt(at >>> 1));
  }
  for (let at = 0; at < many; at += 1) expect(bloom.has(idAt(at))).toBe(true);
  let mistaken = 0;
  for (let at = many; at < 2 * many; at += 1) if (bloom.has(idAt(at))) mistaken += 1;
  expect(mistaken).toBeLessThan(many / 10);
  expect(salts).toBe(6);
});
