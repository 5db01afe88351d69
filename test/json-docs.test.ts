import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { everyCommand, type Printed } from './json/every-command.ts';
import { World } from './world.ts';

/**
 * The rows of docs/json.md as `program command | event | field`. A heading names one command, or
 * several of one program.
 */
function documented(page: string): Set<string> {
  const rows = new Set<string>();
  let commands: readonly string[] = [];
  for (const line of page.split('\n')) {
    const heading = /^## (aliquot(?:-agent)?) (.*)$/.exec(line);
    if (heading !== null) {
      // `collector address set, address show`: the last words of a name stand for the whole.
      const names = (heading[2] ?? '').split(', ');
      const group = (names[0] ?? '').split(' ');
      commands = names.map((name) => {
        const words = name.split(' ');
        const whole =
          words.length < group.length
            ? [...group.slice(0, group.length - words.length), ...words]
            : words;
        return `${heading[1]} ${whole.join(' ')}`;
      });
    }
    const [, event = '', field] = /^\| (?:`([^`]+)`)? ?\| `([^`]+)` \| /.exec(line) ?? [];
    if (field !== undefined)
      for (const command of commands) rows.add(`${command} | ${event} | ${field}`);
  }
  return rows;
}

describe('docs/json.md', () => {
  let printed: readonly Printed[];
  let rows: Set<string>;
  let world: World;
  beforeAll(async () => {
    world = await World.open();
    printed = await everyCommand(world);
    rows = documented(
      await readFile(fileURLToPath(new URL('../docs/json.md', import.meta.url)), 'utf8'),
    );
  });
  afterAll(async () => world.close());

  it('has a row for every field of every line that the commands print', () => {
    expect(printed.length).toBeGreaterThan(60);
    const missing = new Set<string>();
    for (const { command, line } of printed) {
      for (const field of Object.keys(line)) {
        if (field === 'event') continue;
        const name = `${command} | ${String(line['event'] ?? '')} | ${field}`;
        // `versions` of a PC has the `path` line of `status`.
        if (
          !rows.has(name) &&
          !rows.has(name.replace('aliquot-agent versions | path', 'aliquot-agent status | path'))
        )
          missing.add(name);
      }
    }
    expect([...missing]).toEqual([]);
  });

  it('says what the type of a time is: every one that was printed is RFC 3339 in UTC', () => {
    const times = printed.flatMap(({ line }) =>
      ['time', 'since', 'lastSeen', 'capturedAt', 'safeSince', 'expires'].map(
        (field) => line[field],
      ),
    );
    const texts = times.filter((time) => typeof time === 'string');
    expect(texts.length).toBeGreaterThan(10);
    for (const time of texts) expect(time).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  });
});
