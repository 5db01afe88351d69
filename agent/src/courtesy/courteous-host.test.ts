import { mkdirSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Bench, openBench } from '../../testing/capture/bench.ts';
import { TestPc } from '../../testing/courtesy/test-pc.ts';
import { collect } from '../../testing/queue/support.ts';
import type { CaptureExchange, CaptureWindow } from '../capture/window.ts';
import { fromText } from '../source/paths.ts';
import { courteousHost } from './courteous-host.ts';

let bench: Bench;
let pc: TestPc;
beforeEach(async () => {
  bench = await openBench();
  pc = new TestPc();
});
afterEach(() => bench.close());

const job = (name: string, at = 0) => ({ job: at, path: fromText(join(bench.data, name), '/') });

/** A file of several windows. */
function large(): void {
  writeFileSync(join(bench.data, 'large'), '');
  truncateSync(join(bench.data, 'large'), 40_000_000);
}

/** Takes everything, and does something after each window. */
function taker(
  after: (windows: number) => void = () => undefined,
): CaptureExchange & { windows: CaptureWindow[] } {
  const windows: CaptureWindow[] = [];
  return {
    windows,
    lookup: async (indexes) => indexes.map(() => undefined),
    deliver: async (window) => {
      windows.push(window);
      after(windows.length);
      return [];
    },
  };
}

test('without limits it is the very host', () => {
  expect(courteousHost(bench.host, pc.courtesy({}))).toBe(bench.host);
});

test('a pause that begins in the middle lets the window at hand finish, and no other begin', async () => {
  large();
  const host = courteousHost(bench.host, pc.courtesy({ pauseWhile: [{ file: '/run/busy' }] }));
  let during: number | undefined;
  const exchange = taker((windows) => {
    if (windows === 1) {
      pc.files.add('/run/busy');
      pc.nowMs += 60_000;
    }
  });
  let slept = 0;
  pc.onSleep = () => {
    slept += 1;
    during ??= exchange.windows.length;
    if (slept < 50) return;
    expect(exchange.windows.length).toBe(during);
    pc.files.clear();
  };
  await host.capture([job('large')], exchange);
  expect(slept).toBe(50);
  expect(during).toBe(1);
  expect(exchange.windows.length).toBeGreaterThan(2);
  expect(exchange.windows.flatMap(({ results }) => results)).toMatchObject([{ type: 'captured' }]);
});

test('what was captured whole before a pause does not wait for its end', async () => {
  writeFileSync(join(bench.data, 'small'), 'small');
  const host = courteousHost(bench.host, pc.courtesy({ pauseWhile: [{ file: '/run/busy' }] }));
  pc.onSleep = () => expect.unreachable('nothing more is to be read');
  await host.capture(
    [job('small')],
    taker(() => {
      pc.files.add('/run/busy');
      pc.nowMs += 60_000;
    }),
  );
});

test('in a pause neither a walk nor a capture begins', async () => {
  mkdirSync(join(bench.data, 'd'));
  writeFileSync(join(bench.data, 'd', 'f'), 'f');
  const host = courteousHost(bench.host, pc.courtesy({ pauseWhile: [{ process: 'acquire' }] }));
  const order: string[] = [];
  pc.running.add('acquire');
  pc.onSleep = () => {
    order.push('slept');
    if (order.length === 3) pc.running.clear();
  };
  const walked = await collect(
    host.walk({ root: bench.root, sourceRoot: bench.root, rules: bench.source.rules }),
  );
  order.push('walked');
  expect(order).toEqual(['slept', 'slept', 'slept', 'walked']);
  expect(walked.flat()).toHaveLength(3);
  pc.running.add('acquire');
  pc.nowMs += 60_000;
  order.length = 0;
  await host.capture(
    [job('d/f')],
    taker(() => order.push('captured')),
  );
  expect(order).toEqual(['slept', 'slept', 'slept', 'captured']);
});

test('between windows the share of a core is kept', async () => {
  large();
  const host = courteousHost(bench.host, pc.courtesy({ maxCpuPercent: 20 }));
  const began = pc.nowMs;
  let windows = 0;
  await host.capture(
    [job('large')],
    taker(() => {
      windows += 1;
      pc.usedCpuMs += 100;
      pc.nowMs += 100;
    }),
  );
  // The last window is not waited for.
  expect(pc.nowMs - began).toBe((windows - 1) * 500 + 100);
});
