import type { Output } from '@aliquot/shared/cli/output';
import type { StandardOutput } from '@aliquot/shared/cli/standard-output';
import { type Request, versionsInARequest } from '../service/protocol.ts';

/**
 * `status --acknowledge-lost`: shows the status and what a collector lost, and only when all of it was delivered takes that as seen: a second
 * request, for nobody else knows what reached the reader. With a reader that has gone nothing is taken, and the exit code says so.
 */
export async function acknowledgeLost(
  ask: (request: Request, output: Output) => Promise<void>,
  output: Output,
  stdout: StandardOutput,
): Promise<void> {
  const shown: number[] = [];
  const noting: Output = {
    ...output,
    async result(record, text) {
      await output.result(record, text);
      if ('event' in record && record.event === 'lost' && 'version' in record) shown.push(Number(record.version));
    },
  };
  await ask({ op: 'status', results: false }, noting);
  await stdout.settled();
  if (stdout.lost !== undefined) return;
  // Oldest first, as they were shown: an end between two requests leaves only what stands behind.
  for (let at = 0; at < shown.length; at += versionsInARequest)
    await ask({ op: 'acknowledgeLost', versions: shown.slice(at, at + versionsInARequest) }, output);
}
