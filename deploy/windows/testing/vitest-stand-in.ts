/**
 * What the rooms' tests use of vitest, where vitest itself cannot run: its bundler has no build
 * that loads under Wine. The matchers are vitest's own (`@vitest/expect`, `@vitest/spy`);
 * collecting and running is done here.
 */
import { mock } from 'node:test';
import { inspect } from 'node:util';
import { absences } from '@aliquot/shared/testing/platform';
import {
  ASYMMETRIC_MATCHERS_OBJECT,
  customMatchers,
  GLOBAL_EXPECT,
  getState,
  JestAsymmetricMatchers,
  JestChaiExpect,
  JestExtend,
  setState,
} from '@vitest/expect';
import { fn, isMockFunction, restoreAllMocks, spyOn } from '@vitest/spy';
import * as chai from 'chai';

type Work = (...args: never[]) => unknown;
interface Options {
  readonly timeout?: number;
}
interface Group {
  readonly name: string;
  readonly parent: Group | undefined;
  readonly skipped: string | undefined;
  readonly hooks: Record<'beforeAll' | 'afterAll' | 'beforeEach' | 'afterEach', Work[]>;
  readonly children: (Group | Test)[];
}
interface Test {
  readonly name: string;
  readonly run: Work;
  readonly skipped: string | undefined;
  readonly timeoutMs: number;
}
type Register = (
  name: string,
  work: Work,
  options: { readonly skipped: string | undefined; readonly timeoutMs: number },
) => void;

/** What became of the tests of one file. */
export interface TestTally {
  passed: number;
  readonly failed: { readonly name: string; readonly says: string }[];
  /** Tests that assume POSIX, by their reason. */
  readonly posix: Record<string, number>;
  skipped: number;
}

/** Those of the system, whatever a test puts in their place. */
const [realTimeout, realClear, realImmediate] = [setTimeout, clearTimeout, setImmediate];
/** Only ends what hangs. */
const PATIENCE_MS = 120_000;
const POLL_MS = 1_000;
const EVERY_MS = 50;

const newGroup = (name: string, parent?: Group, skipped?: string): Group => ({
  name,
  parent,
  skipped,
  hooks: { beforeAll: [], afterAll: [], beforeEach: [], afterEach: [] },
  children: [],
});
let current = newGroup('');
let finishing: Work[] = [];

/** Where the name of a row of `each` holds `%s`, `%d`, `%j`, `%i`, `$0` or `$key`. */
function nameOf(pattern: string, row: readonly unknown[]): string {
  let next = 0;
  const said = pattern.replace(/%[sdijof#%]/g, (mark) => {
    if (mark === '%%') return '%';
    const value = row[next++];
    return mark === '%j'
      ? JSON.stringify(value)
      : typeof value === 'object'
        ? inspect(value, { depth: 1, breakLength: Infinity })
        : String(value);
  });
  const [first] = row;
  return said.replace(/\$([\w.]+)/g, (mark, key: string) => {
    const value =
      typeof first === 'object' && first !== null
        ? key.split('.').reduce<unknown>((at, part) => (at as never)?.[part], first)
        : undefined;
    return value === undefined ? mark : String(value);
  });
}

const takeReason = (): string => absences.pop() ?? '';

function registrar(register: Register, skipped?: string) {
  const options = (one: unknown, two: unknown) => {
    const [work, told] = typeof one === 'function' ? [one as Work, two] : [two as Work, one];
    const timeoutMs =
      typeof told === 'number' ? told : ((told as Options | undefined)?.timeout ?? PATIENCE_MS);
    return { work, told: { skipped, timeoutMs } };
  };
  const call = (name: string | Work, one?: unknown, two?: unknown): void => {
    const { work, told } = options(one, two);
    register(typeof name === 'function' ? name.name : name, work, told);
  };
  return Object.assign(call, {
    each:
      (rows: readonly unknown[]) =>
      (name: string, one: unknown, two?: unknown): void => {
        const { work, told } = options(one, two);
        for (const row of rows) {
          const args = Array.isArray(row) ? row : [row];
          register(nameOf(name, args), (() => work(...(args as never[]))) as Work, told);
        }
      },
    runIf: (condition: unknown) =>
      registrar(register, condition ? skipped : (skipped ?? takeReason())),
    skipIf: (condition: unknown) =>
      registrar(register, condition ? (skipped ?? takeReason()) : skipped),
    only: call,
  });
}

export const test = registrar(
  (name, run, told) => void current.children.push({ name, run, ...told }),
);
export const it = test;
export const describe = registrar((name, work, { skipped }) => {
  const group = newGroup(name, current, skipped);
  current.children.push(group);
  current = group;
  try {
    work();
  } finally {
    current = group.parent as Group;
  }
});

const hook =
  (when: keyof Group['hooks']) =>
  (work: Work): void =>
    void current.hooks[when].push(work);
export const beforeAll = hook('beforeAll');
export const afterAll = hook('afterAll');
export const beforeEach = hook('beforeEach');
export const afterEach = hook('afterEach');
export const onTestFinished = (work: Work): void => void finishing.push(work);

chai.use(JestExtend);
chai.use(JestChaiExpect);
chai.use(JestAsymmetricMatchers);

async function until<T>(
  look: () => T | Promise<T>,
  { timeout = POLL_MS, interval = EVERY_MS }: { timeout?: number; interval?: number } = {},
): Promise<T> {
  const end = performance.now() + timeout;
  for (;;) {
    try {
      return await look();
    } catch (error) {
      if (performance.now() > end) throw error;
      await new Promise((wake) => realTimeout(wake, interval));
    }
  }
}

/** `expect.poll(look, …)[.not].matcher(…)`: as often as it takes. */
function poll(look: () => unknown, options?: { timeout?: number; interval?: number }): unknown {
  const path = (way: readonly string[]): unknown =>
    new Proxy(() => undefined, {
      get: (_target, key: string) => path([...way, key]),
      apply: (_target, _this, args) =>
        until(async () => {
          // biome-ignore lint/suspicious/noExplicitAny: chai's chain is made of names that only its plugins know
          let at: any = expect(await look());
          for (const name of way.slice(0, -1)) at = at[name];
          return at[way.at(-1) as string](...args);
        }, options),
    });
  return path([]);
}

const chaiExpect = (value: unknown, message?: string) => {
  setState({ assertionCalls: getState(expect).assertionCalls + 1 }, expect);
  return chai.expect(value, message);
};
// biome-ignore lint/suspicious/noExplicitAny: chai gives its own functions to `expect`
export const expect: any = Object.assign(chaiExpect, chai.expect, {
  poll,
  unreachable: (says?: string) => chai.assert.fail(`expected ${says ?? ''} not to be reached`),
  getState: () => getState(expect),
  setState: (state: object) => setState(state, expect),
});
Object.assign(expect, (globalThis as never)[ASYMMETRIC_MATCHERS_OBJECT]);
Reflect.set(globalThis, GLOBAL_EXPECT, expect);
setState(
  {
    assertionCalls: 0,
    isExpectingAssertions: false,
    expectedAssertionsNumber: null,
    currentTestName: '',
  } as never,
  expect,
);
(chai.expect as never as { extend(expect: unknown, matchers: object): void }).extend(
  expect,
  customMatchers,
);

const before = new Map<string, string | undefined>();
export const vi = {
  fn,
  spyOn,
  isMockFunction,
  restoreAllMocks,
  mocked: (value: unknown) => value,
  waitFor: until,
  waitUntil: (look: () => unknown, options?: object) =>
    until(async () => {
      const seen = await look();
      if (!seen) throw new Error('it did not come true');
      return seen;
    }, options),
  stubEnv(name: string, value: string | undefined): void {
    if (!before.has(name)) before.set(name, process.env[name]);
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  },
  unstubAllEnvs(): void {
    for (const [name, value] of before) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
    before.clear();
  },
  useFakeTimers: ({ now }: { now?: Date } = {}) =>
    mock.timers.enable({
      apis: ['setTimeout', 'setInterval', 'Date'],
      ...(now === undefined ? {} : { now }),
    }),
  useRealTimers: () => mock.timers.reset(),
  async advanceTimersByTimeAsync(ms: number): Promise<void> {
    const step = Math.max(1, Math.ceil(ms / 1000));
    for (let done = 0; done < ms; done += step) {
      mock.timers.tick(Math.min(step, ms - done));
      await new Promise((turn) => realImmediate(turn));
    }
  },
};

async function inTime(work: Work, timeoutMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  try {
    const late = new Promise((_done, fail) => {
      timer = realTimeout(
        () => fail(new Error(`it did not end within ${timeoutMs} ms`)),
        timeoutMs,
      );
    });
    await Promise.race([work(), late]);
  } finally {
    realClear(timer);
  }
}

/** Runs a test or a hook and answers with what went wrong. */
async function attempt(work: Work, timeoutMs = PATIENCE_MS): Promise<unknown> {
  try {
    await inTime(work, timeoutMs);
    return undefined;
  } catch (error) {
    return error ?? new Error('it threw nothing');
  }
}

const everyHook = (group: Group | undefined, when: 'beforeEach' | 'afterEach'): Work[] => {
  if (group === undefined) return [];
  const own = group.hooks[when];
  return when === 'beforeEach'
    ? [...everyHook(group.parent, when), ...own]
    : [...own.toReversed(), ...everyHook(group.parent, when)];
};

async function runTest({ run, timeoutMs }: Test, group: Group): Promise<unknown> {
  finishing = [];
  let wrong: unknown;
  for (const work of everyHook(group, 'beforeEach')) wrong ??= await attempt(work);
  wrong ??= await attempt(run, timeoutMs);
  for (const work of everyHook(group, 'afterEach')) wrong ??= await attempt(work);
  // Written over while they run: one may ask for another.
  for (let last = finishing.pop(); last !== undefined; last = finishing.pop())
    wrong ??= await attempt(last);
  return wrong;
}

/** Told before each test which one it is. */
type OnTest = (name: string) => void;

async function runGroup(
  group: Group,
  tally: TestTally,
  names: readonly string[],
  skipped: string | undefined,
  onTest: OnTest,
): Promise<void> {
  let broken: unknown;
  const runs = (within: Group): boolean =>
    within.children.some((child) =>
      'run' in child ? child.skipped === undefined : child.skipped === undefined && runs(child),
    );
  const active = skipped === undefined && runs(group);
  if (active) for (const work of group.hooks.beforeAll) broken ??= await attempt(work);
  for (const child of group.children) {
    const why = skipped ?? child.skipped;
    if (!('run' in child)) {
      await runGroup(child, tally, [...names, child.name], why, onTest);
    } else if (why !== undefined) {
      if (why === '') tally.skipped += 1;
      else tally.posix[why] = (tally.posix[why] ?? 0) + 1;
    } else {
      const name = [...names, child.name].join(' > ');
      onTest(name);
      const wrong = broken ?? (await runTest(child, group));
      if (wrong === undefined) tally.passed += 1;
      else
        tally.failed.push({
          name,
          says: wrong instanceof Error ? (wrong.stack ?? wrong.message) : inspect(wrong),
        });
    }
  }
  if (!active) return;
  for (const work of group.hooks.afterAll) {
    const wrong = await attempt(work);
    if (wrong !== undefined)
      tally.failed.push({ name: [...names, 'afterAll'].join(' > '), says: inspect(wrong) });
  }
}

/** Loads a test file and runs what it registers. */
export async function runFile(url: string, onTest: OnTest): Promise<TestTally> {
  const tally: TestTally = { passed: 0, failed: [], posix: {}, skipped: 0 };
  const group = newGroup('');
  current = group;
  try {
    await import(url);
  } catch (error) {
    tally.failed.push({ name: 'loading it', says: inspect(error) });
    return tally;
  }
  await runGroup(group, tally, [], undefined, onTest);
  return tally;
}
