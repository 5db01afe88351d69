import { formatInstant } from '@aliquot/shared/cli/format';
import type { InForce, Origin } from '../desk/effective.ts';
import type { Agent } from '../folder/agent.ts';
import type { Emit } from '../socket/protocol.ts';

/**
 * `settings`: one `settings` event, a `setting` event for each value with its origin, then what
 * `agent.yaml` says in vain, and which folders lost their cover until somebody has seen it.
 */
export async function settings({ desk }: Agent, emit: Emit): Promise<void> {
  const { sequence, groups, refused } = desk;
  await emit({
    event: 'settings',
    sequence,
    groups,
    ...(refused === undefined
      ? {}
      : {
          refused: {
            sequence: refused.sequence,
            code: refused.code,
            at: formatInstant(refused.atMs),
            message: refused.message,
          },
        }),
  });
  const now = await desk.now();
  if ('mistakes' in now) {
    for (const { line, message } of now.mistakes) await emit({ event: 'unused', line, message });
  } else {
    for (const one of now.values) await emit({ event: 'setting', ...shown(one, sequence) });
    for (const { line, message } of now.unused) await emit({ event: 'unused', line, message });
  }
  for (const { path, patterns, sequence: by, sinceMs } of desk.uncovered)
    await emit({ event: 'uncovered', path, patterns, sequence: by, since: formatInstant(sinceMs) });
}

function shown({ setting, value, origins }: InForce, sequence: number) {
  const words: Readonly<Record<Origin, string>> = {
    'built-in': 'built in',
    desk: `desk ${sequence}`,
    pc: 'this PC',
  };
  return { setting, value, origin: origins.map((origin) => words[origin]) };
}
