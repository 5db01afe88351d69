import {
  formatBytes,
  formatCount,
  formatCounted,
  formatLocalInstant,
  printable,
} from '@aliquot/shared/cli/format';
import { z } from 'zod';
import type { AgentEvent } from '../socket/protocol.ts';

/** The part of a `path` event that the text needs. */
const pathSchema = z.object({
  path: z.string(),
  state: z.string(),
  kept: z.number().optional(),
  capturedAt: z.string().optional(),
  safeSince: z.string().optional(),
  goneSince: z.string().optional(),
  problem: z.string().optional(),
  since: z.string().optional(),
  results: z.object({ total: z.number(), safe: z.number() }).optional(),
});
type PathEvent = z.output<typeof pathSchema>;

/** What a technician wants to know of a path: one line, in plain words, times of this PC's zone. */
export function pathText(event: AgentEvent, nowMs: number): string {
  const told = pathSchema.parse(event);
  return `${printable(told.path)}: ${printable(says(told, nowMs))}`;
}

function says(
  { state, kept, capturedAt, safeSince, since, goneSince, problem, results }: PathEvent,
  nowMs: number,
): string {
  const versions = kept === undefined ? '' : `, ${kept} ${kept === 1 ? 'version' : 'versions'}`;
  switch (state) {
    case 'safe':
      return `safe${safeSince === undefined ? '' : ` since ${clock(safeSince, nowMs)}`}${versions}`;
    case 'queued':
      return `captured${capturedAt === undefined ? '' : ` ${clock(capturedAt, nowMs)}`}, waiting to be sent; not yet safe at the collector${versions}`;
    case 'open':
      return `captured as far as it goes, and not complete: members of it are still to come, or could not be read; it is looked at again${versions}`;
    case 'settling':
      return since === undefined || capturedAt === undefined
        ? `not yet captured: it is still being written, or was a moment ago${earlier(kept)}`
        : `still being written, since ${clock(since, nowMs)}; captured as it was ${clock(capturedAt, nowMs)}${versions}`;
    case 'capturing':
      return `not yet captured: it is being read just now${earlier(kept)}`;
    case 'problem':
      return `NOT PROTECTED: ${problem ?? 'see status'}${earlier(kept)}`;
    case 'several': {
      const { total = 0, safe = 0 } = results ?? {};
      const rest = total - safe;
      return rest === 0
        ? `all ${formatCount(total)} results in it are safe`
        : `${formatCount(total)} results: ${formatCount(safe)} safe, ${formatCount(rest)} not yet; status --today lists them`;
    }
    case 'not-captured':
      return 'not yet captured; it is in a watched folder, so that comes by itself';
    case 'excluded':
      return 'NOT PROTECTED: the configuration leaves it out (exclude in agent.yaml)';
    case 'not-watched':
      return 'NOT PROTECTED: it lies in no watched folder; ask IT to add it';
    case 'gone':
      return `not there any more${goneSince === undefined ? '' : ` since ${clock(goneSince, nowMs)}`}${versions} kept; aliquot-agent restore gives it back`;
    default:
      return 'there is nothing of that name, and none was captured on this PC; check the spelling';
  }
}

/** One line of the list of results: when it was captured, how it is, and its name last. */
export function resultText(event: AgentEvent, nowMs: number): string {
  const { path, state, capturedAt, problem } = pathSchema.parse(event);
  const words: Record<string, string> = {
    safe: 'safe',
    queued: 'to be sent',
    open: 'not complete',
    capturing: 'being captured',
    settling: 'being written',
    problem: 'NOT PROTECTED',
  };
  const when = capturedAt === undefined ? '' : clock(capturedAt, nowMs);
  return `${when.padStart(5)}  ${(words[state] ?? state).padEnd(16)}  ${printable(path)}${problem === undefined ? '' : `: ${printable(problem)}`}`;
}

/** One line of `versions`. */
export function versionText(event: AgentEvent, nowMs: number): string {
  const text = (field: string): string => (typeof event[field] === 'string' ? event[field] : '');
  const size = number(event['size']);
  const what =
    event['kind'] === 'gone'
      ? 'deleted'
      : event['kind'] === 'file'
        ? formatBytes(size)
        : event['kind'] === 'result'
          ? `${text('state')}, ${formatCounted(number(event['members']), 'member')}`
          : text('kind');
  const safe =
    text('safeSince') === '' ? 'not yet safe' : `safe since ${clock(text('safeSince'), nowMs)}`;
  const growing = event['growing'] === true ? ', while it was being written' : '';
  // The whole time, to the millisecond: it can be given to `restore --at`.
  return `  ${formatLocalInstant(Date.parse(text('time')))}  ${what.padStart(8)}  ${safe}${growing}`;
}

function number(value: unknown): number {
  return typeof value === 'number' ? value : 0;
}

function earlier(kept: number | undefined): string {
  return kept === undefined || kept === 0
    ? ''
    : ` (${kept} earlier ${kept === 1 ? 'version is' : 'versions are'} kept)`;
}

/** `09:41` today, else with its date: as a person at this PC would say it. */
export function clock(instant: string, nowMs: number): string {
  const at = new Date(instant);
  const two = (value: number): string => String(value).padStart(2, '0');
  const time = `${two(at.getHours())}:${two(at.getMinutes())}`;
  const sameDay = new Date(nowMs).toDateString() === at.toDateString();
  return sameDay
    ? time
    : `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${time}`;
}
