import { foldWords } from '@aliquot/shared/cli/fold';
import { printable } from '@aliquot/shared/cli/format';
import type { AgentInfo } from '../api/messages.ts';
import { problemWords } from '../api/pc-problems.ts';

/** One problem of one agent, or of the collector. */
export interface ProblemOf {
  readonly name: string;
  readonly problem: AgentInfo['problems'][number];
}

const WIDTH = 80;
const LOOK_THERE = '`aliquot-agent status` on that PC names them and says what to do';

/**
 * Codes that many agents may have at once: how the group is called, and what to do, which is the
 * same for all.
 */
const problemGroups: Readonly<Record<string, { readonly title: string; readonly remedy: string }>> =
  {
    'waits-for-approval': {
      title: 'waits for approval, and captures and queues meanwhile',
      remedy:
        'take it in: aliquot agents approve NAME; or, if it is not yours: aliquot agent revoke NAME',
    },
    silent: {
      title: 'silent for longer than usual',
      remedy: 'is that PC off, or its service stopped?',
    },
    unprotected: { title: 'unprotected files', remedy: LOOK_THERE },
    unsettled: { title: 'results that do not come to rest', remedy: LOOK_THERE },
    pending: {
      title: 'seen, not captured when last heard of',
      remedy: 'they are safe once that PC runs and is connected again',
    },
    queued: {
      title: 'captured, not sent when last heard of',
      remedy: 'they are safe once that PC is connected again',
    },
    'no-sources': {
      title: 'PCs that were not told what to watch',
      remedy:
        'name their folders in the policy and set it, also when they came after the last set; or in agent.yaml there',
    },
    'clock-held': {
      title: 'clock held',
      remedy: 'set it; or, if it is right: aliquot collector clock --confirm',
    },
    'clock-off': { title: 'clock off', remedy: 'set it by time servers (NTP)' },
  };

/**
 * Problems of many agents, like ones together, no line wider than 80 columns unless something that
 * is to be pasted is: `unprotected files: hplc-1 (3), hplc-2 (1)`, and below it what to do.
 */
export function problemList(all: readonly ProblemOf[]): string {
  const groups = new Map<string, ProblemOf[]>();
  for (const one of all)
    groups.set(one.problem.code, [...(groups.get(one.problem.code) ?? []), one]);
  return [...groups].map(([code, members]) => groupText(code, members)).join('\n');
}

function groupText(code: string, members: readonly ProblemOf[]): string {
  const known = problemGroups[code];
  const amounts = members.map(({ problem: { count, brief } }) => brief ?? count);
  if (amounts.every((amount) => amount === undefined)) {
    const each = members.map(({ name, problem }) =>
      foldWords(printable(`${name}: ${problem.message}`), WIDTH, '    ', '  '),
    );
    return [`${known?.title ?? code}:`, ...each].join('\n');
  }
  const names = members.map(
    ({ name }, at) => `${name}${amounts[at] === undefined ? '' : ` (${amounts[at]})`}`,
  );
  // What the PC itself reports has a code of its own kind.
  const title = known?.title ?? problemWords(code) ?? `${code} (at the PC)`;
  return [
    foldWords(printable(`${title}: ${names.join(', ')}`), WIDTH, '    '),
    foldWords(known?.remedy ?? LOOK_THERE, WIDTH, '    ', '  '),
  ].join('\n');
}
