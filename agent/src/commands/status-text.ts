import {
  formatBytes,
  formatCount,
  formatCounted,
  formatLocalTime,
  printable,
} from '@aliquot/shared/cli/format';
import { z } from 'zod';
import type { AgentEvent } from '../socket/protocol.ts';
import { fullBecause } from '../status/queue-view.ts';
import { clock } from './path-text.ts';

const problem = z.object({ code: z.string(), message: z.string() });

/** How much one exclude pattern takes. */
const excludedSchema = z.object({ pattern: z.string(), files: z.number(), folders: z.number() });

/** The part of a `status` event that the text needs. */
const schema = z.object({
  service: z.enum(['running', 'stopped']),
  agent: z.string(),
  vault: z.string(),
  collector: z.string(),
  connection: z.string(),
  connectionProblem: problem.optional(),
  rolledBack: z.boolean(),
  queue: z.object({
    entries: z.number(),
    bytes: z.number(),
    oldest: z.string().optional(),
    freeBytes: z.number(),
    maxBytes: z.number().optional(),
    minFreeBytes: z.number().optional(),
    full: z.boolean(),
    waiting: z.object({ files: z.number(), bytes: z.number() }),
  }),
  lastReceipt: z.object({ at: z.string(), commit: z.number(), copies: z.number() }).nullable(),
  lastScan: z.string().nullable(),
  scanning: z.boolean(),
  trouble: z.string().optional(),
  paused: z.object({ since: z.string(), because: z.string() }).optional(),
  pauseTrouble: z.string().optional(),
  sources: z.array(
    z.object({
      path: z.string(),
      eventsMissing: z.string().optional(),
      excluded: z.array(excludedSchema).default([]),
    }),
  ),
  results: z.object({
    total: z.number(),
    safe: z.number(),
    queued: z.number(),
    open: z.number(),
    capturing: z.number(),
    settling: z.number(),
    problem: z.number(),
  }),
  pending: z.number(),
  allSafe: z.boolean(),
  safeAsOf: z.string().nullable(),
  bytes: z.number(),
  problems: z.number(),
  unsettled: z.number(),
  lost: z.number(),
});

type Status = z.output<typeof schema>;

/**
 * The state of this PC's backup for a technician: first whether all is well, then what is wrong and
 * what to do.
 */
export function statusText(event: AgentEvent, nowMs: number): string {
  const status = schema.parse(event);
  const lines = [
    headline(status, nowMs),
    ...troubles(status),
    ...facts(status),
    ...exclusions(status),
  ];
  return lines.map(printable).join('\n');
}

/**
 * One line that is true in every state. What is lost comes first: no later backup makes it good.
 */
function headline(status: Status, nowMs: number): string {
  const { lost } = status;
  const says = safety(status, nowMs);
  if (lost === 0) return says;
  return `${formatCounted(lost, 'version')} LOST; ${says.charAt(0).toLowerCase()}${says.slice(1)}`;
}

/** What is safe: "all" only when nothing is open and the agent has seen everything. */
function safety(status: Status, nowMs: number): string {
  const {
    results,
    pending,
    queue,
    bytes,
    lost,
    allSafe,
    safeAsOf,
    rolledBack,
    service,
    connectionProblem,
  } = status;
  const { total, safe, queued, open: incomplete, capturing, problem } = results;
  const notYet = total - safe;
  const asOf = safeAsOf === null ? '' : ` as of ${clock(safeAsOf, nowMs)}`;
  if (allSafe && total > 0) {
    const all = `${total === 1 ? 'The one result is' : `All ${formatCount(total)} results are`} safe (${formatBytes(bytes)})`;
    return connectionProblem === undefined ? `${all}.` : `${all}, but there is trouble:`;
  }
  if (rolledBack)
    return `Of ${formatCount(total)} results ${formatCount(safe)} were safe; the collector has lost some, and which is not known yet.`;
  const open = [
    [problem, 'NOT PROTECTED'],
    [capturing, 'being captured'],
    [pending - capturing, 'still being written'],
    [incomplete, 'not complete'],
    [queued, 'to be sent'],
  ] as const;
  const says = open.flatMap(([many, what]) => (many > 0 ? [`${formatCount(many)} ${what}`] : []));
  if (says.length > 0 || lost > 0) {
    const begin =
      safe > 0 && notYet > 0 && asOf !== ''
        ? `Safe${asOf}; ${formatCount(notYet)} not yet`
        : `${formatCount(safe)} of ${formatCount(total)} results safe`;
    // Without a service these are what was seen last: there may be more by now.
    const rest = says.length > 0 ? `: ${says.join(', ')}` : '';
    return `${begin}${rest}${service === 'stopped' ? '; what came since is not known' : ''}.`;
  }
  if (service === 'running' && safeAsOf === null) {
    return total === 0
      ? 'Nothing has been looked at yet.'
      : `The first look since the start is not done; ${formatCount(safe)} ${safe === 1 ? 'result is' : 'results are'} safe so far.`;
  }
  if (total === 0) return 'Nothing has been backed up yet.';
  // Also while something that is no result waits to be sent, such as the news that a file has gone.
  const rest = queue.entries > 0 ? '' : '; what came since is not known';
  return `${total === 1 ? 'The one result that is known is' : `All ${formatCount(total)} results that are known are`} safe${asOf}${rest}.`;
}

function troubles(status: Status): string[] {
  const {
    connectionProblem,
    service,
    queue,
    problems,
    unsettled,
    lost,
    trouble,
    sources,
    collector,
    rolledBack,
    paused,
    pauseTrouble,
  } = status;
  const lines: string[] = [];
  if (rolledBack)
    lines.push(
      'The collector has lost what it had confirmed (it came back with older data). Tell central IT; nothing here is lost.',
    );
  if (connectionProblem !== undefined)
    lines.push(`Connection: ${connectionProblem.message} [${connectionProblem.code}]`);
  if (service === 'stopped') {
    const link =
      status.connection === 'stopped' ? ', and whether the collector answers is not known' : '';
    lines.push(`The service is not running: new results are not noticed${link}.`);
    lines.push('Start it: aliquot-agent run --data DIR');
  } else if (status.connection !== 'ready' && connectionProblem === undefined) {
    lines.push(`Not connected to ${collector} (${status.connection}); it connects by itself.`);
  }
  if (paused !== undefined) {
    const since = formatLocalTime(Date.parse(paused.since));
    lines.push(
      `Paused since ${since}, because ${paused.because}: new results are only at their source until that ends (pauseWhile).`,
    );
  }
  if (pauseTrouble !== undefined) lines.push(`Pausing does not work: ${pauseTrouble}.`);
  if (queue.entries > 0) {
    const since =
      queue.oldest === undefined
        ? ''
        : `, the oldest since ${formatLocalTime(Date.parse(queue.oldest))}`;
    lines.push(
      `Waiting to be sent: ${formatCount(queue.entries)} ${queue.entries === 1 ? 'version' : 'versions'}, ${formatBytes(queue.bytes)}${since}.`,
    );
  }
  if (queue.full) {
    const { files, bytes } = queue.waiting;
    const because = fullBecause({
      ...queue,
      maxBytes: queue.maxBytes ?? 0,
      minFreeBytes: queue.minFreeBytes ?? 0,
    });
    const [what, them] = files === 1 ? ['result file is', 'it'] : ['result files are', 'them'];
    lines.push(
      `ALARM: the queue is full (${because}): ${formatCount(files)} complete ${what} only at the source, ${formatBytes(bytes)}. Do not delete ${them}; what to do is named below.`,
    );
  }
  const bare = problems - unsettled;
  if (bare > 0)
    lines.push(
      `Not protected: ${formatCount(bare)} ${bare === 1 ? 'path' : 'paths'}, each named below with what to do.`,
    );
  if (unsettled > 0)
    lines.push(
      `Not at rest for long: ${formatCount(unsettled)}, named below; captured as they are from time to time.`,
    );
  const { open } = status.results;
  if (open > 0)
    lines.push(
      `Not complete: ${formatCounted(open, 'folder')}; members are still to come, or could not be read. status --today names ${open === 1 ? 'it' : 'them'}.`,
    );
  if (lost > 0)
    lines.push(
      `Lost: ${formatCount(lost)} ${lost === 1 ? 'version' : 'versions'}, named below; tell central IT, then run status with --acknowledge-lost.`,
    );
  if (trouble !== undefined) lines.push(`The last scan failed: ${trouble}`);
  for (const { path, eventsMissing } of sources) {
    if (eventsMissing !== undefined)
      lines.push(`No file events for ${path} (${eventsMissing}); changes are found by scans only.`);
  }
  return lines;
}

function facts({
  agent,
  vault,
  collector,
  connection,
  lastReceipt,
  lastScan,
  scanning,
  service,
}: Status): string[] {
  const receipt =
    lastReceipt === null
      ? 'no receipt yet'
      : `last receipt ${formatLocalTime(Date.parse(lastReceipt.at))} (commit ${lastReceipt.commit}, ${lastReceipt.copies} ${lastReceipt.copies === 1 ? 'copy' : 'copies'})`;
  const scan = scanning
    ? 'scanning now'
    : lastScan === null
      ? 'no scan yet'
      : `last scan ${formatLocalTime(Date.parse(lastScan))}`;
  const link = service === 'running' ? `, ${connection}` : '';
  return [
    `Agent ${agent} of vault ${vault} at ${collector}${link}; ${receipt}${service === 'running' ? `; ${scan}` : ''}.`,
  ];
}

/** What exclude patterns take: many a person is surprised. */
function exclusions({ sources }: Status): string[] {
  return sources.flatMap(({ path, excluded }) =>
    excluded.map((taken) => `Excluded in ${path}: ${excludedText(taken)}`),
  );
}

/** `3 files and 1 folder by "*.tmp"`, for people. */
export function excludedText({ pattern, files, folders }: z.output<typeof excludedSchema>): string {
  const parts = [
    files === 0 ? '' : formatCounted(files, 'file'),
    folders === 0 ? '' : formatCounted(folders, 'whole folder'),
  ].filter((part) => part !== '');
  return `${parts.join(' and ')} by "${pattern}"`;
}
