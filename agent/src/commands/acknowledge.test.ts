import { EventEmitter } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createOutput, type Output } from '@aliquot/shared/cli/output';
import { StandardOutput, type TextSink } from '@aliquot/shared/cli/standard-output';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { find, openServiceBench, type ServiceBench } from '../../testing/service/bench.ts';
import { operate } from '../service/operate.ts';
import type { Request } from '../socket/protocol.ts';
import { acknowledgeLost } from './acknowledge.ts';
import { presenter } from './present.ts';

/**
 * Standard output that takes so many writes, and then fails as a full disk or a reader that has
 * gone does.
 */
class Sink extends EventEmitter<{ error: [Error]; drain: [] }> implements TextSink {
  said = '';
  #left: number;
  readonly #code: string;

  constructor(writes: number, code: string) {
    super();
    this.#left = writes;
    this.#code = code;
  }

  write(data: string | Uint8Array): boolean {
    this.#left -= 1;
    if (this.#left < 0)
      this.emit('error', Object.assign(new Error(this.#code), { code: this.#code }));
    else this.said += Buffer.from(data as Uint8Array).toString();
    return true;
  }
}

let service: ServiceBench;
/** How many versions are named as lost: that depends on how the commits were cut. */
let lost = 0;

beforeEach(async () => {
  service = await openServiceBench();
  for (const name of ['a', 'b', 'c']) writeFileSync(service.at(name), name);
  expect((await service.backup(false)).code).toBeUndefined();
  const { queue } = service.agent;
  for (let sequence = 1; sequence <= queue.outbox.receiptedSequence(); sequence++)
    await queue.losses.record(sequence, [0, 1, 2]);
  lost = await lostNow();
  expect(lost).toBeGreaterThan(2);
});
afterEach(() => service.close());

const lostNow = async () =>
  find(await service.perform({ op: 'status', results: false }), 'lost').length;

/**
 * The command with `--json`, whose first write is the status and each further one a lost version.
 */
async function acknowledged(sink: Sink): Promise<StandardOutput> {
  const stdout = new StandardOutput(sink);
  const output = createOutput({
    json: true,
    stdout,
    stderr: new Sink(0, 'none'),
    clock: service.agent.clock,
  });
  const ask = async (request: Request, to: Output) => {
    await operate(
      service.agent,
      undefined,
      request,
      presenter(to).emit,
      new AbortController().signal,
    );
  };
  await acknowledgeLost(ask, output, stdout);
  return stdout;
}

test('P6: what a collector lost is shown until a person has acknowledged it', async () => {
  const sink = new Sink(Number.POSITIVE_INFINITY, 'none');
  await acknowledged(sink);
  expect(sink.said.match(/"event":"lost"/g)).toHaveLength(lost);
  expect(await lostNow()).toBe(0);
  await acknowledged(new Sink(Number.POSITIVE_INFINITY, 'none'));
});

test.each([
  ['a reader that has gone from the start', 0, 'EPIPE'],
  ['a reader that goes after the first lost version', 2, 'EPIPE'],
  ['a disk that is full before the last one', 3, 'ENOSPC'],
])('P6: with %s nothing is taken as seen', async (_what, writes, code) => {
  const stdout = await acknowledged(new Sink(writes, code));
  expect(stdout.lost).toBeDefined();
  expect(await lostNow()).toBe(lost);
});
