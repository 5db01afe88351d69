import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeFolder } from '../../../scripts/package/tree.ts';
import { versionFolder } from '../../../scripts/package/version-folder.ts';
import { type Check, type LifetimePlace, must } from './lifetime.ts';
import { until } from './windows.ts';

const DATA = 'C:\\Held';
const SOURCE = 'C:\\HeldSource';
/** Fewer files than these are held in no backup: then the holder did not work. */
const LEAST_HELD = 20;

/**
 * A scanner of viruses at its worst: whatever appears in the data folder is kept from everybody for
 * a second (holder.c).
 */
export async function held(
  { windows, world, folder, name, node }: LifetimePlace,
  check: Check,
): Promise<void> {
  const program = join(folder, 'held');
  const version = versionFolder({
    product: 'agent',
    target: 'win-x64',
    version: '0.1.0',
    ...(node === undefined ? {} : { node }),
  });
  writeFolder(program, version);
  const holder = join(folder, 'holder.exe');
  execFileSync('x86_64-w64-mingw32-gcc', [
    '-O2',
    '-o',
    holder,
    join(import.meta.dirname, 'holder.c'),
  ]);
  const log = join(folder, 'held.log');
  const agent = (...args: readonly string[]) =>
    windows.run(join(program, 'node.exe'), [
      `Z:${join(program, 'program/main.js')}`,
      ...args,
      '--data',
      DATA,
    ]);
  const write = (turn: number): void => {
    mkdirSync(windows.disk(SOURCE), { recursive: true });
    for (let at = 0; at < 20; at += 1)
      writeFileSync(
        join(windows.disk(SOURCE), `run-${turn}-${at}.csv`),
        `${turn} ${at}\n`.repeat(1 + at * 2000),
      );
  };

  await check(
    'enrolment and backups pass while each file of the data folder is held for a second',
    async () => {
      const bundle = await world.bundle(`${name}-H`);
      mkdirSync(windows.disk(DATA), { recursive: true });
      const holding = windows.run(holder, [DATA, `Z:${log}`]);
      try {
        await until('the holder looks', () => readOr(log));
        const enrolled = await agent('enroll', `Z:${bundle}`);
        must(/^enrolled as /m.test(enrolled.out), enrolled.out);
        for (const turn of [1, 2, 3]) {
          write(turn);
          const { out } = await agent('backup', SOURCE);
          must(
            /everything captured is safe/.test(out) &&
              !/refus|denied|not permitted|\[[A-Z]+_[A-Z_]+\]/i.test(out),
            out,
          );
        }
      } finally {
        writeFileSync(`${log}.stop`, '');
        await holding;
      }
      const count = readFileSync(log, 'utf8').trimEnd().split('\n').length;
      must(count >= LEAST_HELD, `only ${count} files were held`);
      console.log(`    ${count} times a file was held`);
    },
  );
}

function readOr(path: string): true | undefined {
  try {
    readFileSync(path);
    return true;
  } catch {
    return undefined; // not there yet
  }
}
