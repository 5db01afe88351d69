import { mkdirSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openServiceBench, type ServiceBench } from '../../testing/service/bench.ts';
import type { AgentEvent, Request } from '../socket/protocol.ts';
import { operate } from './operate.ts';

let lab: ServiceBench;
beforeEach(async () => {
  lab = await openServiceBench();
});
afterEach(() => lab.close());

async function progressOf(totals: boolean): Promise<AgentEvent[]> {
  const events: AgentEvent[] = [];
  const request: Request = {
    op: 'backup',
    paths: [lab.bench.data],
    exclude: ['*.tmp'],
    offline: true,
    dryRun: false,
    totals,
  };
  await operate(
    lab.agent,
    undefined,
    request,
    async (event) => void events.push(event),
    new AbortController().signal,
  );
  return events.filter(({ event }) => event === 'progress');
}

test('somebody who watches is told how much there is in all, without what is left out; others are not', async () => {
  mkdirSync(lab.at('run'));
  let bytes = 0;
  for (let file = 0; file < 300; file += 1) {
    writeFileSync(lab.at(`run/${file}.csv`), 'x'.repeat(file));
    bytes += file;
  }
  writeFileSync(lab.at('scratch.tmp'), 'left out');
  // Each word about the progress is told: the clock moves on between two of them.
  let now = 1_800_000_000_000;
  const clock = { nowMs: () => (now += 1_000) };
  lab = { ...lab, agent: { ...lab.agent, clock } };
  const told = await progressOf(true);
  expect(told.at(-1)).toMatchObject({ totalFiles: 300, totalBytes: bytes });
  for (const event of await progressOf(false)) expect(event).not.toHaveProperty('totalFiles');
});
