import { foldWords } from '@aliquot/shared/cli/fold';
import { formatBytes, formatCounted, formatLocalTime, printable } from '@aliquot/shared/cli/format';
import type { Output, Progress } from '@aliquot/shared/cli/output';
import { type Clock, systemClock } from '@aliquot/shared/ports';
import type { AgentEvent, Emit } from '../socket/protocol.ts';
import { carryText } from './carry-text.ts';
import { clock as clockTime, pathText, resultText, versionText } from './path-text.ts';
import { excludedText, statusText } from './status-text.ts';

/**
 * Shows events to a person, or passes them on as JSON lines. Progress and remarks go to standard
 * error in both cases.
 */
export function presenter(
  output: Output,
  clock: Clock = systemClock,
): { readonly emit: Emit; done(): void } {
  let progress: Progress | undefined;
  // A terminal breaks lines in the middle of a word; anyone who reads from a pipe wants a line for
  // each thing.
  const fit = (
    text: string,
    { isTTY, columns }: { readonly isTTY?: boolean; readonly columns?: number },
  ): string =>
    isTTY === true && columns !== undefined && columns > 20 ? foldWords(text, columns, '  ') : text;
  return {
    async emit(event) {
      if (event.event === 'progress') {
        progress ??= output.progress('handled');
        progress.update({
          ...('files' in event ? { files: number(event, 'files') } : {}),
          bytes: number(event, 'bytes'),
          ...('totalFiles' in event ? { totalFiles: number(event, 'totalFiles') } : {}),
          ...('totalBytes' in event ? { totalBytes: number(event, 'totalBytes') } : {}),
          ...('path' in event ? { current: () => text(event, 'path') } : {}),
        });
      } else if (event.event === 'note')
        output.note(fit(printable(text(event, 'message')), process.stderr));
      else if (event.event === 'problem' && !output.json)
        output.note(fit(problemText(event, clock.nowMs()), process.stderr));
      else {
        const says = describe(event, clock.nowMs());
        await output.result(event, says === undefined ? undefined : fit(says, process.stdout));
      }
    },
    done() {
      progress?.done();
    },
  };
}

/** One line for a person; undefined for events that only scripts want. */
function describe(event: AgentEvent, nowMs: number): string | undefined {
  switch (event.event) {
    case 'would':
      return `${text(event, 'change').padEnd(7)} ${printable(text(event, 'path'))}`;
    case 'excluded': {
      const taken = {
        pattern: text(event, 'pattern'),
        files: number(event, 'files'),
        folders: number(event, 'folders'),
      };
      return printable(`excluded in ${text(event, 'path')}: ${excludedText(taken)}`);
    }
    case 'restored':
      return `restored ${printable(text(event, 'path'))} to ${printable(text(event, 'to'))}${wholeText(event)}${deletedText(event)}`;
    case 'summary':
      if ('ok' in event) return fsckSummary(event);
      return 'newFiles' in event
        ? backupSummary(event)
        : 'commits' in event
          ? flushSummary(event)
          : restoreSummary(event);
    case 'status':
      return statusText(event, nowMs);
    case 'path':
      return pathText(event, nowMs);
    case 'version':
      return versionText(event, nowMs);
    case 'result':
      return resultText(event, nowMs);
    case 'exported':
    case 'imported':
      return carryText(event);
    case 'lost':
      return `lost: ${printable(text(event, 'path') || 'a version without a name')}; ${lostBecause(text(event, 'why'))}`;
    case 'addresses':
      return event['news'] === true
        ? `from now on the collector is looked for at ${text(event, 'collector')} first`
        : 'nothing to do: this agent has these addresses, or newer ones, already';
    case 'settings':
      return settingsText(event);
    case 'setting':
      return `${printable(text(event, 'setting'))} = ${printable(text(event, 'value'))}  (${(event['origin'] as readonly string[]).join(', ')})`;
    case 'unused':
      return `agent.yaml: ${printable(text(event, 'message'))}`;
    case 'uncovered':
      return uncoveredText(event, nowMs);
    case 'enrolled':
      if (event['pending'] === true)
        return `enrolled as ${printable(text(event, 'agent'))} of vault ${printable(text(event, 'vault'))}, and waits for approval: it captures and queues;\ncentral IT lets it send with: aliquot agents approve ${printable(text(event, 'agent'))}`;
      return `enrolled as ${printable(text(event, 'agent'))} of vault ${printable(text(event, 'vault'))} at ${text(event, 'collector')}`;
    case 'finding':
      return `${text(event, 'code')}${event['repaired'] === true ? ' (mended)' : ''}  ${printable(text(event, 'where'))}: ${printable(text(event, 'what'))}; ${printable(text(event, 'remedy'))}`;
    default:
      return undefined;
  }
}

/** Of a folder result. */
function wholeText({ complete }: AgentEvent): string {
  if (complete === undefined) return '';
  if (complete === true) return ', whole';
  return '; NOT WHOLE: a folder of which members are missing here, or were when it was captured';
}

function settingsText(event: AgentEvent): string {
  const sequence = number(event, 'sequence');
  const groups = event['groups'] as readonly string[];
  const from =
    sequence === 0
      ? 'no settings from central IT; agent.yaml counts'
      : `settings ${sequence} from central IT`;
  const refused = event['refused'] as
    | { readonly sequence: number; readonly code: string; readonly message: string }
    | undefined;
  const not =
    refused === undefined
      ? ''
      : `\nREFUSED settings ${refused.sequence} [${refused.code}]: ${printable(refused.message)}`;
  return `${from}${groups.length === 0 ? '' : `, as one of ${groups.join(', ')}`}${not}`;
}

function uncoveredText(event: AgentEvent, nowMs: number): string {
  const patterns = event['patterns'] as readonly string[];
  const what =
    patterns.length === 0
      ? 'is'
      : `loses what ${patterns.map((pattern) => `"${pattern}"`).join(', ')} takes; it is`;
  const since = clockTime(text(event, 'since'), nowMs);
  return printable(
    `NOT BACKED UP any more: ${text(event, 'path')} ${what} without cover since ${since}, by settings ${number(event, 'sequence')}`,
  );
}

function problemText(event: AgentEvent, nowMs: number): string {
  const since = text(event, 'since');
  const code = text(event, 'code');
  // Codes of errors are in capitals; those of what stands in the way of a backup are not.
  if (code === code.toUpperCase())
    return printable(`not restored: ${text(event, 'path')}: ${text(event, 'message')}`);
  const begin =
    code === 'unsettled' ? `not at rest since ${clockTime(since, nowMs)}` : 'not protected';
  return printable(`${begin}: ${text(event, 'path')}: ${text(event, 'message')}`);
}

function lostBecause(why: string): string {
  if (why === 'reference-changed')
    return 'an earlier state of it changed before there was room in the queue';
  if (why === 'growing-torn')
    return 'versions captured while it grew may mix two states, for its older part had changed; the newest version is whole';
  if (why === 'reference-gone') return 'it went before there was room in the queue';
  return 'neither the queue nor the collector has it whole; what its source still has is captured again';
}

/**
 * What is missing comes first; "safe" is said of what was captured, and only when its receipts are
 * here.
 */
function backupSummary(event: AgentEvent): string {
  const [files, failed, queued] = [
    number(event, 'files'),
    number(event, 'failed'),
    number(event, 'queued'),
  ];
  const missing: string[] = [];
  if (event['interrupted'] === true) missing.push('ENDED EARLY, before everything was captured');
  if (failed > 0) missing.push(`${formatCounted(failed, 'path')} NOT PROTECTED`);
  if (queued > 0) missing.push(`${formatCounted(queued, 'version')} queued, not yet safe`);
  if (number(event, 'lost') > 0)
    missing.push(
      `${formatCounted(number(event, 'lost'), 'version')} LOST, see aliquot-agent status`,
    );
  const met = `${formatCounted(files, 'file')}, ${formatBytes(number(event, 'bytes'))}: ${number(event, 'newFiles')} new, ${number(event, 'changed')} changed, ${number(event, 'unchanged')} unchanged, ${number(event, 'gone')} gone`;
  const isEmpty =
    files + number(event, 'folders') + number(event, 'links') + number(event, 'gone') === 0;
  if (event['dryRun'] === true) return [...missing, `would back up ${met}`].join('; ');
  return [
    ...missing,
    `${met}; sent ${formatBytes(number(event, 'sentBytes'))}`,
    ...fate(event, { isEmpty, isWhole: missing.length === 0 }),
  ].join('; ');
}

function fate(
  event: AgentEvent,
  { isEmpty, isWhole }: { readonly isEmpty: boolean; readonly isWhole: boolean },
): string[] {
  if (isEmpty) return ['nothing was captured'];
  if (number(event, 'queued') > 0) return [];
  if (event['unreached'] === true)
    return ['all of it had its receipts before, and the collector could not be asked now'];
  return [
    isWhole
      ? 'everything captured is safe at the collector'
      : 'what was captured is safe at the collector',
  ];
}

function flushSummary(event: AgentEvent): string {
  const [queued, unprotected, pending] = [
    number(event, 'queued'),
    number(event, 'unprotected'),
    number(event, 'pending'),
  ];
  const done = `sent ${formatCounted(number(event, 'versions'), 'version')} in ${formatCounted(number(event, 'commits'), 'commit')}, ${formatBytes(number(event, 'sentBytes'))}`;
  const missing: string[] = [];
  if (queued > 0) missing.push(`${formatCounted(queued, 'version')} still queued, not yet safe`);
  if (unprotected > 0)
    missing.push(`${formatCounted(unprotected, 'path')} not protected, see aliquot-agent status`);
  if (pending > 0) missing.push(`${formatCounted(pending, 'result')} not yet captured`);
  const lost = number(event, 'lost');
  if (lost > 0) missing.push(`${formatCounted(lost, 'version')} lost, see aliquot-agent status`);
  const since = number(event, 'capturedMeanwhile');
  const fate =
    since > 0
      ? `all that was queued is safe; ${formatCounted(since, 'version')} captured meanwhile`
      : 'nothing is queued: everything captured is safe';
  return [...missing, queued > 0 || lost > 0 ? done : `${done}; ${fate}`].join('; ');
}

function deletedText({ deletedAt }: AgentEvent): string {
  return typeof deletedAt === 'string'
    ? `; it was found deleted ${formatLocalTime(Date.parse(deletedAt))}`
    : '';
}

function restoreSummary(event: AgentEvent): string {
  const failed = number(event, 'failed');
  const growing = number(event, 'growing');
  const but =
    growing === 0
      ? ''
      : `, but ${growing} captured while growing, which have none: proved piece by piece`;
  return `${formatCounted(number(event, 'files'), 'file')} restored, ${formatBytes(number(event, 'bytes'))}${failed > 0 ? `; ${failed} could not be restored` : ', each proved against its recorded hash'}${but}`;
}

function fsckSummary(event: AgentEvent): string {
  const repaired = number(event, 'repaired');
  const mended = repaired > 0 ? `${formatCounted(repaired, 'thing')} mended; ` : '';
  return `${mended}${event['ok'] === true ? 'identity, queue and chain log are sound' : `${formatCounted(number(event, 'wrong'), 'thing')} wrong`}`;
}

function number(event: AgentEvent, field: string): number {
  const value = event[field];
  return typeof value === 'number' ? value : 0;
}

function text(event: AgentEvent, field: string): string {
  const value = event[field];
  return typeof value === 'string' ? value : '';
}
