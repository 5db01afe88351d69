import type { Reporter, TestModule } from 'vitest/node';

/**
 * Ends a test run with a line for each failure and then `N passed, N failed`, all plain, for
 * machines that read the output, and for people who see only its end.
 */
export default class TallyReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly unknown[]): void {
    // A file that does not load, a hook that fails before its tests, and an error outside of any
    // test count as failures too.
    const failures = unhandledErrors.map((error) => `outside of any test: ${wordsOf(error)}`);
    let passed = 0;
    for (const module of modules) {
      const file = module.relativeModuleId;
      for (const error of module.errors()) failures.push(`${file}: ${wordsOf(error)}`);
      for (const suite of module.children.allSuites())
        for (const error of suite.errors())
          failures.push(`${file}: ${suite.fullName}: ${wordsOf(error)}`);
      for (const test of module.children.allTests()) {
        const result = test.result();
        if (result.state === 'passed') passed += 1;
        else if (result.state === 'failed')
          failures.push(`${file}: ${test.fullName}: ${wordsOf(result.errors[0])}`);
      }
    }
    // After the other reporters' words, whatever their order.
    const lines = [
      ...failures.map((line) => `FAILED ${line}`),
      `${passed} passed, ${failures.length} failed`,
    ];
    process.once('exit', () => process.stdout.write(`${lines.join('\n')}\n`));
  }
}

/** What an error says, on one line. */
function wordsOf(error: unknown): string {
  const words =
    typeof error === 'object' && error !== null && 'message' in error
      ? String(error.message)
      : String(error);
  return words.replaceAll(/\s+/g, ' ').slice(0, 1000);
}
