import type { Output } from '@aliquot/shared/cli/output';
import type { StandardOutput } from '@aliquot/shared/cli/standard-output';
import { type Request, VERSIONS_IN_AREQUEST } from '../socket/protocol.ts';

/**
 * What an answer says, for the caller that takes it as seen: one value of each event of a kind,
 * once all of it was delivered.
 */
async function shownOf(
  ask: (to: Output) => Promise<void>,
  kind: string,
  field: string,
  output: Output,
  stdout: StandardOutput,
): Promise<readonly unknown[]> {
  const shown: unknown[] = [];
  const noting: Output = {
    ...output,
    async result(record, text) {
      await output.result(record, text);
      if ('event' in record && record.event === kind)
        shown.push((record as Readonly<Record<string, unknown>>)[field]);
    },
  };
  await ask(noting);
  await stdout.settled();
  return stdout.lost === undefined ? shown : [];
}

type Ask = (request: Request, output: Output) => Promise<void>;

/** `settings --acknowledge`: the same for what lost its cover by settings. */
export async function acknowledgeUncovered(
  ask: Ask,
  output: Output,
  stdout: StandardOutput,
): Promise<void> {
  const shown = await shownOf(
    (to) => ask({ op: 'settings' }, to),
    'uncovered',
    'path',
    output,
    stdout,
  );
  const paths = [...new Set(shown.map(String))];
  for (let at = 0; at < paths.length; at += 1000)
    await ask({ op: 'acknowledgeUncovered', paths: paths.slice(at, at + 1000) }, output);
}

/**
 * `status --acknowledge-lost`: shows the status and what a collector lost, and only when all of it
 * was delivered takes that as seen: a second request, for nobody else knows what reached the
 * reader. With a reader that has gone nothing is taken, and the exit code says so.
 */
export async function acknowledgeLost(
  ask: Ask,
  output: Output,
  stdout: StandardOutput,
): Promise<void> {
  const told = await shownOf(
    (to) => ask({ op: 'status', results: false }, to),
    'lost',
    'version',
    output,
    stdout,
  );
  const shown = told.map(Number);
  // Oldest first, as they were shown: an end between two requests leaves only what stands behind.
  for (let at = 0; at < shown.length; at += VERSIONS_IN_AREQUEST)
    await ask(
      { op: 'acknowledgeLost', versions: shown.slice(at, at + VERSIONS_IN_AREQUEST) },
      output,
    );
}
