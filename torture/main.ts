/** `npm run test:torture`: see torture/options.ts for what it can be told. */
import { randomInt } from 'node:crypto';
import { stopPrograms } from '../demo/programs.ts';
import { runJobs } from './jobs.ts';
import { HELP, isMeant, readOptions, type TortureOptions } from './options.ts';
import { runScenarios, summary } from './runner.ts';
import { scenarios } from './scenarios.ts';

const print = (line: string): void => {
  process.stdout.write(`${line}\n`);
};

async function main(options: TortureOptions): Promise<number> {
  const meant = scenarios.filter(({ name }) => isMeant(name, options.only));
  if (meant.length === 0) {
    process.stderr.write(
      `no scenario is named ${options.only.join(' or ')}; --list prints them all\n`,
    );
    return 2;
  }
  if (options.list) {
    for (const { name, about, proves } of meant) print(`${name}  (${proves.join(' ')})  ${about}`);
    return 0;
  }
  print(
    `seed ${options.seed}, ${meant.length} scenarios, ${options.minutes === undefined ? 'no time limit' : `${options.minutes} minutes`}`,
  );
  const outcomes =
    options.jobs > 1
      ? await runJobs(
          options,
          meant.map(({ name }) => name),
          print,
        )
      : await runScenarios(meant, options, { nowMs: () => Date.now(), print });
  // Anyone who shared the run among several processes adds up what they found.
  process.send?.(outcomes);
  const { lines, failed } = summary(outcomes);
  // What a failed scenario left running must not outlive us.
  await stopPrograms();
  for (const line of lines) print(line);
  return failed === 0 ? 0 : 1;
}

let options: TortureOptions | undefined;
try {
  options = readOptions(process.argv.slice(2), () => randomInt(2 ** 31));
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n\n${HELP}`);
  process.exit(2);
}
if (options.help) {
  process.stdout.write(HELP);
  process.exit(0);
}
// A scenario that left a socket or a timer open must not keep the run from ending.
process.exit(await main(options));
