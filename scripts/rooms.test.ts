import { describe, expect, it } from 'vitest';
import { circles } from './lib/circles.ts';
import { kitFindings } from './lib/kit-wall.ts';
import { emptyRooms, roomFindings } from './rooms.ts';

const says = (path: string, text: string) =>
  roomFindings({ path, text }).map((finding) => `${finding.line}: ${finding.says}`);

describe('the room rules', () => {
  it('let agent and collector import shared and proto', () => {
    expect(
      says(
        'agent/src/queue/a.ts',
        "import { x } from '@aliquot/shared/a';\nimport type { Y } from '@aliquot/proto';",
      ),
    ).toEqual([]);
    expect(
      says('collector/src/store/a.ts', "export * from '@aliquot/shared/a';\nimport './b.ts';"),
    ).toEqual([]);
  });

  it.each([
    [
      'agent/src/queue/a.ts',
      "import { x } from '@aliquot/collector/store/a';",
      'agent may not import collector',
    ],
    [
      'collector/src/store/a.ts',
      "import type { X } from '@aliquot/agent/a';",
      'collector may not import agent',
    ],
    [
      'shared/src/crypto/a.ts',
      "export { x } from '@aliquot/agent/a';",
      'shared may not import agent',
    ],
    [
      'shared/src/crypto/a.ts',
      "await import('@aliquot/collector/a');",
      'shared may not import collector',
    ],
    [
      'proto/src/door/a.ts',
      "import { x } from '@aliquot/shared/a';",
      'proto may not import shared',
    ],
    [
      'proto/src/door/a.test.ts',
      "import { x } from '@aliquot/shared/a';",
      'proto may not import shared',
    ],
    [
      'agent/src/status/a.ts',
      "process.stderr.write('past the door');",
      'goes past the door to terminals',
    ],
    ['collector/src/rest/a.ts', "console.log('past');", 'goes past the door to terminals'],
    [
      'agent/src/queue/a.ts',
      "import { x } from '../../../collector/src/store/a.ts';",
      'leaves its room',
    ],
    [
      'agent/src/queue/a.ts',
      "import { x } from '@aliquot/agent/b';",
      'its own room by package name',
    ],
  ])('find in %s that %s is wrong', (path, text, expected) => {
    expect(says(path, text)).toEqual([expect.stringContaining(expected)]);
  });

  it.each([
    "import { rename } from 'node:fs/promises';",
    "import { fsyncSync as flush } from 'node:fs';",
    "import * as fs from 'node:fs';\nfs.renameSync('a', 'b');",
    'await port.rename(a, b);',
  ])('keep renames and flushes in the durability module: %s', (text) => {
    expect(says('agent/src/queue/a.ts', text)).toEqual([
      expect.stringContaining('outside the durability module'),
    ]);
    expect(says('shared/src/durable/a.ts', text)).toEqual([]);
    expect(says('agent/src/queue/a.test.ts', text)).toEqual([]);
  });

  it('let the environment be read in one file for each program', () => {
    const text = "const a = process.env['A'];";
    expect(says('agent/src/queue/a.ts', text)).toEqual([
      expect.stringContaining('agent/src/environment.ts'),
    ]);
    expect(says('shared/src/keys/a.ts', "import { env } from 'node:process';")).toEqual([
      expect.stringContaining('shared/src/cli/environment.ts'),
    ]);
    expect(says('agent/src/environment.ts', text)).toEqual([]);
    expect(says('collector/src/environment.ts', text)).toEqual([]);
  });

  it.each([
    'Date.now();',
    'Math.random();',
    'new Date();',
    'crypto.randomUUID();',
    "import { randomBytes } from 'node:crypto';",
  ])('let only the ports reach for clock and chance: %s', (text) => {
    expect(says('shared/src/crypto/a.ts', text)).toHaveLength(1);
    expect(says('shared/src/ports.ts', text)).toEqual([]);
  });

  it('take no notice of the same names in text, or of dates that are given', () => {
    expect(
      says('shared/src/crypto/a.ts', "// Date.now()\nconst a = 'process.env';\nnew Date(0);"),
    ).toEqual([]);
  });

  it.each([
    "import { x } from '@aliquot/shared/testing/temp';",
    "import type { X } from '../../testing/queue/support.ts';",
  ])('keep the programs off support for tests: %s', (text) => {
    expect(says('agent/src/queue/a.ts', text)).toEqual([
      expect.stringContaining('leans on support for tests'),
    ]);
    expect(says('agent/src/queue/a.test.ts', text)).toEqual([]);
    expect(says('agent/testing/queue/a.ts', text.replace('../../testing/queue', '.'))).toEqual([]);
  });

  it.each([
    'agent/src/queue/testing/a.ts',
    'agent/src/queue/test-support.ts',
    'shared/src/keys/fixtures.ts',
    'collector/src/store/fork-conformance.ts',
  ])('keep support for tests out of src: %s', (path) => {
    expect(says(path, 'export const a = 1;')).toEqual([expect.stringContaining('/testing')]);
  });

  it('hold for support for tests too', () => {
    const text = "import type { X } from '@aliquot/collector/store/a';";
    expect(says('agent/testing/queue/a.ts', text)).toEqual([
      expect.stringContaining('agent may not import collector'),
    ]);
  });

  it.each([
    ['agent/src/capture/a.ts', "import type { U } from '../uplink/u.ts';", 'capture to uplink'],
    ['agent/src/uplink/a.ts', "await import('../carry/c.ts');", 'uplink to carry'],
    ['agent/src/queue/a.ts', "export { x } from '../main.ts';", 'queue to main.ts'],
    ['shared/src/keys/a.ts', "import { c } from '../content/c.ts';", 'keys to content'],
    [
      'shared/src/content/kernels/a.ts',
      "import { c } from '../c.ts';",
      'content/kernels to content',
    ],
    ['collector/src/store/a.ts', "import { i } from '../ingest/i.ts';", 'store to ingest'],
    ['proto/src/door/a.ts', "import { x } from '../index.ts';", 'door to index.ts'],
  ])('let no inner room reach up: in %s, %s', (path, text, arrow) => {
    expect(says(path, text)).toEqual([expect.stringMatching(`reaches up from ${arrow}: move`)]);
    expect(says(path.replace('/a.ts', '/a.test.ts'), text)).toEqual([]);
  });

  it('let rooms that stand side by side not know each other', () => {
    expect(
      says('collector/src/server/a.ts', "import { readKit } from '../operator/kit-file.ts';"),
    ).toEqual([expect.stringContaining('reaches aside from server to operator')]);
    expect(says('agent/src/watch/a.ts', "import { d } from '../desk/d.ts';")).toEqual([
      expect.stringContaining('reaches aside from watch to desk'),
    ]);
  });

  it('let an inner room import what it stands on, and itself', () => {
    expect(
      says(
        'agent/src/uplink/a.ts',
        "import '../queue/q.ts';\nimport './b.ts';\nimport './c/d.ts';",
      ),
    ).toEqual([]);
    expect(says('shared/src/content/a.ts', "import { k } from './kernels/k.ts';")).toEqual([]);
  });

  it.each(['store', 'rest', 'server', 'store/packs'])(
    'keep the operator’s programs off the server’s %s',
    (room) => {
      const text = `import type { X } from '../${room}/x.ts';`;
      expect(says('collector/src/operator/a.ts', text)).toEqual([
        expect.stringContaining('is of the server'),
      ]);
      expect(says('collector/src/operator/a.ts', "import { m } from '../api/m.ts';")).toEqual([]);
    },
  );

  it('know every inner room', () => {
    expect(says('agent/src/attic/a.ts', '')).toEqual([
      expect.stringContaining('stands in no room of scripts/rooms.ts'),
    ]);
    expect(says('agent/src/a.ts', '')).toHaveLength(1);
    expect(says('agent/testing/attic/a.ts', '')).toEqual([]);
  });

  describe('keep the kit from the server', () => {
    const kit = { path: 'shared/src/keys/kit.ts', text: 'export const openKit = 1;' };
    const store = (text: string) => ({ path: 'collector/src/store/s.ts', text });
    const server = { path: 'collector/src/server/a.ts', text: "import '../store/s.ts';" };

    it.each([
      "import { openKit } from '@aliquot/shared/keys/kit';",
      "export { openKit } from '@aliquot/shared/keys/kit';",
      "await import('@aliquot/shared/keys/kit');",
    ])('by every way: %s', (text) => {
      expect(kitFindings([server, store(text), kit])).toEqual([
        {
          path: 'collector/src/store/s.ts',
          line: 1,
          says: expect.stringContaining(
            'collector/src/server/a.ts → collector/src/store/s.ts → shared/src/keys/kit.ts',
          ),
        },
      ]);
    });

    it('but not its types, and not from the operator', () => {
      const types = store("import type { OpenKit } from '@aliquot/shared/keys/kit';");
      const operator = {
        path: 'collector/src/operator/a.ts',
        text: "import { openKit } from '@aliquot/shared/keys/kit';",
      };
      expect(kitFindings([server, types, operator, kit])).toEqual([]);
    });
  });

  it('keep no room in the list in which nothing stands', () => {
    const left = emptyRooms([{ path: 'agent/src/queue/a.ts', text: '' }]).map(({ says }) => says);
    expect(left).toContain(
      'innerRooms names agent/src/uplink, where nothing stands: take the line out',
    );
    expect(left.some((line) => line.includes('agent/src/queue,'))).toBe(false);
  });

  it('say the line', () => {
    expect(says('shared/src/crypto/a.ts', '\n\nMath.random();')).toEqual([
      expect.stringMatching(/^3: /),
    ]);
  });
});

describe('files that import each other in a circle', () => {
  const files = (...rows: readonly (readonly [path: string, text: string])[]) =>
    circles(rows.map(([path, text]) => ({ path, text })));

  it('are named once, with the way round, also where only types are imported', () => {
    expect(
      files(
        ['agent/src/queue/a.ts', "import type { B } from './b.ts';"],
        ['agent/src/queue/b.ts', "export { c } from './c.ts';"],
        ['agent/src/queue/c.ts', "import './a.ts';\nimport { x } from '@aliquot/shared/x';"],
        ['agent/src/queue/d.ts', "import './a.ts';"],
        ['shared/src/x.ts', "import './y.ts';"],
        ['shared/src/y.ts', "import { x } from './x.ts';"],
      ),
    ).toMatchObject([
      {
        path: 'agent/src/queue/a.ts',
        says: expect.stringContaining(
          '(agent/src/queue/a.ts → agent/src/queue/b.ts → agent/src/queue/c.ts → agent/src/queue/a.ts)',
        ),
      },
      { path: 'shared/src/x.ts', says: expect.stringContaining('→ shared/src/y.ts →') },
    ]);
  });

  it('are none where one only leads to another, or a test leads back', () => {
    expect(
      files(
        ['agent/src/queue/a.ts', "import './b.ts';\nimport './c.ts';"],
        ['agent/src/queue/b.ts', "import './c.ts';"],
        ['agent/src/queue/c.ts', 'export {};'],
        ['agent/src/queue/c.test.ts', "import './a.ts';"],
      ),
    ).toEqual([]);
  });
});
