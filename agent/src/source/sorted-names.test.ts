import fc from 'fast-check';
import { expect, test } from 'vitest';
import { portWith, systemError } from '../../testing/capture/bench.ts';
import { compileRules } from './rules.ts';
import { SortedNames } from './sorted-names.ts';
import type { SourceStat } from './source-port.ts';
import { walk } from './walk.ts';

function drain(names: SortedNames): string[] {
  const got: string[] = [];
  for (let name = names.peek(); name !== undefined; name = names.peek()) {
    got.push(name);
    names.pass();
  }
  return got;
}

test('all names come once and in byte order, however little of them fits into memory and however often a name is listed', () => {
  const name = fc.string({
    unit: fc.constantFrom('a', 'b', '!', '\u00ff', '\u0080'),
    minLength: 1,
    maxLength: 6,
  });
  fc.assert(
    fc.property(
      fc.array(name, { maxLength: 60 }),
      fc.integer({ min: 0, max: 400 }),
      (names, budget) => {
        const sorted = [...new Set(names)].sort((a, b) => (a < b ? -1 : 1));
        expect(drain(new SortedNames(() => names, budget))).toEqual(sorted);
      },
    ),
  );
});

test('a folder of many names is listed a few times, and never held whole', () => {
  const total = 200_000;
  let listings = 0;
  let alive = 0;
  const names = new SortedNames(function* list() {
    listings += 1;
    // In no order, as folders are: a step without a common factor comes by each once.
    for (let at = 0; at < total; at += 1)
      yield `scan-${String((at * 7_919) % total).padStart(7, '0')}.dat`;
  }, 1 << 20);
  let last = '';
  let count = 0;
  for (let name = names.peek(); name !== undefined; name = names.peek()) {
    if (name <= last) throw new Error(`${name} came after ${last}`);
    last = name;
    count += 1;
    names.pass();
    alive = Math.max(alive, names.held);
  }
  expect(count).toBe(total);
  expect(listings).toBeGreaterThan(1);
  expect(alive).toBeLessThan(total / 2);
});

test('P6: a folder that cannot be listed to its end is named, and what came until then stands', () => {
  const stat = (kind: SourceStat['kind']): SourceStat => ({
    kind,
    size: 1,
    mtimeNs: 1n,
    ctimeNs: 1n,
    ino: 1n,
    dev: 1n,
    mode: 0o644,
  });
  let listings = 0;
  const port = portWith({
    lstat: (path) => stat(path.toString() === '/r' ? 'directory' : 'file'),
    readdir: () => {
      listings += 1;
      if (listings > 1) throw systemError('EIO');
      return ['a', 'b', 'c', 'd'];
    },
  });
  const rules = compileRules({ exclude: [], folderResults: [], leaveOut: [] }, 'posix');
  const found = [...walk(port, '/r', rules, '/r', 40, 'posix')].map(
    (one) => `${one.type} ${one.path}`,
  );
  expect(found[0]).toBe('item /r');
  expect(found[1]).toBe('item /r/a');
  expect(found.at(-1)).toBe('problem /r');
});
