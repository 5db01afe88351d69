import { seededSource } from '@aliquot/shared/testing/random';
import type { TortureCounts, TortureScenario } from '@aliquot/shared/testing/scenario';

/** What the runner needs from outside. */
export interface RunnerPorts {
  readonly nowMs: () => number;
  readonly print: (line: string) => void;
}

export interface RunnerOptions {
  readonly seed: number;
  readonly minutes: number | undefined;
  readonly onlyCase: number | undefined;
  /**
   * This process does the cases whose number leaves `index` when divided by `of`; all by default.
   */
  readonly part?: RunPart;
}

/** One of several processes that share a run. */
export interface RunPart {
  readonly index: number;
  readonly of: number;
}

/** One line of the table at the end. */
export interface ScenarioOutcome extends TortureCounts {
  readonly name: string;
  readonly seconds: number;
}

/**
 * Runs scenarios one after another. Under a time limit each gets the same part of what is left, so
 * what one leaves goes to those after it; each does at least its first case, however late it is. A
 * scenario that throws has one failure more.
 */
export async function runScenarios(
  scenarios: readonly TortureScenario[],
  { seed, minutes, onlyCase, part = { index: 0, of: 1 } }: RunnerOptions,
  { nowMs, print }: RunnerPorts,
): Promise<ScenarioOutcome[]> {
  const endMs = minutes === undefined ? Number.POSITIVE_INFINITY : nowMs() + minutes * 60_000;
  const outcomes: ScenarioOutcome[] = [];
  for (const [index, scenario] of scenarios.entries()) {
    if (scenario.undivided === true && part.index > 0) continue;
    const startMs = nowMs();
    const shareMs = (endMs - startMs) / (scenarios.length - index);
    print(
      `[${index + 1}/${scenarios.length}] ${scenario.name}${Number.isFinite(shareMs) ? `, ${Math.max(0, Math.round(shareMs / 1000))} s` : ''}: ${scenario.about}`,
    );
    if (scenario.leastSeconds !== undefined && shareMs < scenario.leastSeconds * 1000) {
      print(`    not run: it needs ${scenario.leastSeconds} s and cannot be cut`);
      outcomes.push({
        name: scenario.name,
        seconds: 0,
        injected: 0,
        passed: 0,
        failed: [],
        whole: false,
      });
      continue;
    }
    let asked = 0;
    const over = (): boolean => {
      asked += 1;
      // Scenarios ask before a case or after it: the first answer lets one case happen either way.
      return asked > 1 && nowMs() - startMs >= shareMs;
    };
    const { undivided = false } = scenario;
    const mine = (number: number): boolean =>
      onlyCase === undefined ? undivided || number % part.of === part.index : number === onlyCase;
    const log = (line: string): void => print(`    ${line}`);
    const random = seededSource(seed).derive(scenario.name);
    let counts: TortureCounts;
    try {
      counts = await scenario.run({ seed, random, over, log, mine });
    } catch (error) {
      const says = error instanceof Error ? (error.stack ?? error.message) : String(error);
      counts = {
        injected: 0,
        passed: 0,
        failed: [`the scenario itself failed: ${says}`],
        whole: false,
      };
    }
    const seconds = Math.round((nowMs() - startMs) / 1000);
    outcomes.push({ name: scenario.name, seconds, ...counts });
    for (const line of counts.failed) {
      const [, number] = /^case (\d+)\b/.exec(line) ?? [];
      print(`    FAILED ${line}`);
      print(
        `      again: npm run test:torture -- --seed ${seed} --only ${scenario.name}${number === undefined ? '' : ` --case ${number}`}`,
      );
    }
    print(
      `    ${counts.injected} injected, ${counts.passed} passed, ${counts.failed.length} failed, ${extent(counts)}, ${seconds} s`,
    );
  }
  return outcomes;
}

function extent({ injected, failed, whole }: TortureCounts): string {
  if (injected === 0 && failed.length === 0) return 'not run';
  return whole ? 'whole' : 'cut by time';
}

/** What all came to: a table, and the plain last line for machines. */
export function summary(outcomes: readonly ScenarioOutcome[]): {
  readonly lines: readonly string[];
  readonly failed: number;
} {
  const rows = [
    ['scenario', 'injected', 'passed', 'failed', 'extent', 'seconds'],
    ...outcomes.map((one) =>
      [one.name, one.injected, one.passed, one.failed.length, extent(one), one.seconds].map(String),
    ),
  ];
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((row) => row[column]?.length ?? 0)),
  );
  const sides = [true, false, false, false, true, false];
  const table = rows.map((row) =>
    row
      .map((cell, column) =>
        sides[column] ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
      )
      .join('  ')
      .trimEnd(),
  );
  const passed = outcomes.reduce((sum, one) => sum + one.passed, 0);
  const failed = outcomes.reduce((sum, one) => sum + one.failed.length, 0);
  // Once more, where a reader of the end of a long output finds them.
  const failures = outcomes.flatMap((one) =>
    one.failed.map((line) => `FAILED ${one.name}: ${line}`),
  );
  return {
    lines: ['', ...table, '', ...failures, `${passed} passed, ${failed} failed`],
    failed,
  };
}
