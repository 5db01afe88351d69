import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { doors } from '../../testing/arbitraries.ts';
import { flipped, refusalOf } from '../../testing/damage.ts';
import * as index from '../index.ts';

describe.each(Object.entries(doors))('the door of %s', (name, { encode, decode, values }) => {
  it('gives back every value that it wrote', () => {
    fc.assert(
      fc.property(values, (value) => {
        expect(decode(encode(value as never))).toEqual(value);
      }),
      { numRuns: 60 },
    );
  });

  it('writes one value in one way, in a buffer of exactly its size', () => {
    fc.assert(
      fc.property(values, (value) => {
        const bytes = encode(value as never);
        // Drafts of small files share their memory, of which nothing is written twice.
        if (name !== 'EntryDraft') expect(bytes.byteLength).toBe(bytes.buffer.byteLength);
        expect(encode(decode(bytes) as never)).toEqual(bytes);
      }),
      { numRuns: 30 },
    );
  });

  it('never accepts a second encoding of a value: whatever damaged bytes decode, encodes to those bytes', () => {
    fc.assert(
      fc.property(values, fc.nat(), (value, bit) => {
        const damaged = flipped(encode(value as never), bit);
        let decoded: unknown;
        if (
          refusalOf(() => {
            decoded = decode(damaged);
          }) === undefined
        ) {
          expect(encode(decoded as never)).toEqual(damaged);
        }
      }),
      { numRuns: 150 },
    );
  });

  it('refuses a prefix of a message, and a message with something behind it, with a FormatError or as another valid value', () => {
    fc.assert(
      fc.property(
        values,
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.uint8Array({ minLength: 1, maxLength: 12 }),
        (value, cut, tail) => {
          const bytes = encode(value as never);
          const prefix = bytes.slice(0, Math.floor(bytes.length * cut));
          const longer = Uint8Array.from([...bytes, ...tail]);
          for (const damaged of [prefix, longer]) {
            if (refusalOf(() => decode(damaged)) === undefined)
              expect(encode(decode(damaged) as never)).toEqual(damaged);
          }
        },
      ),
      { numRuns: 60 },
    );
  });

  it('refuses random bytes with a FormatError only', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        refusalOf(() => decode(bytes));
      }),
      { numRuns: 200 },
    );
  });

  it('refuses an unknown field behind a valid message as not canonical', () => {
    const [value] = fc.sample(values, { numRuns: 1, seed: 1 });
    // Field 100, one byte: what a later release might add.
    expect(
      refusalOf(() => decode(Uint8Array.from([...encode(value as never), 0xa0, 0x06, 0x01]))),
    ).toBe('FORMAT_NOT_CANONICAL');
  });

  it('gives plain byte arrays, and the same value, when it is handed a Buffer', () => {
    const [value] = fc.sample(values, { numRuns: 1, seed: 2 });
    expect(decode(Buffer.from(encode(value as never)))).toEqual(value);
  });

  it('has a section of its name in FORMAT.md or WIRE.md', () => {
    const room = join(import.meta.dirname, '..', '..');
    const pages = ['FORMAT.md', 'WIRE.md'].map((page) => readFileSync(join(room, page), 'utf8'));
    expect(pages.some((page) => page.includes(`\n## ${name}\n`))).toBe(true);
  });

  it('is named in the schema', () => {
    const schema = join(import.meta.dirname, '..', '..', 'schema');
    const text = readdirSync(schema).map((file) => readFileSync(join(schema, file), 'utf8'));
    expect(text.join('\n')).toContain(`message ${name} {`);
  });
});

describe('the doors', () => {
  it('are all in the registry of tests', () => {
    const layouts = [
      'decodePage',
      'decodeSlab',
      'decodeBlock',
      'decodeBlockList',
      'decodeBlockRead',
      'decodeRowFacts',
    ];
    const exported = Object.keys(index).filter(
      (key) => key.startsWith('decode') && !layouts.includes(key),
    );
    expect(exported.sort()).toEqual(
      Object.keys(doors)
        .map((name) => `decode${name}`)
        .sort(),
    );
  });
});
