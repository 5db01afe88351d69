import { formatBytes, formatCount } from '@aliquot/shared/cli/format';
import type { AgentEvent } from '../socket/protocol.ts';

/** What a person reads at the end of `queue export` and `queue import`. */
export function carryText(event: AgentEvent): string {
  return event.event === 'exported' ? exportText(event) : importText(event);
}

function exportText(event: AgentEvent): string {
  const [file, bytes, left] = [String(event['file']), count(event, 'bytes'), count(event, 'left')];
  const next =
    'At a machine that reaches the collector: aliquot queue import FILE --out RECEIPTS; then bring RECEIPTS back here.';
  const unprotected = count(event, 'unprotected');
  const missing =
    unprotected === 0
      ? ''
      : `NOT IN IT: ${plural(unprotected, 'path')} that could not be captured; see aliquot-agent status.\n`;
  if (count(event, 'commits') === 0)
    return `${missing}Nothing waits to be sent. ${file} (${formatBytes(bytes)}) only asks the collector for news.\n${next}`;
  const more =
    left > 0
      ? `\n${plural(left, 'commit')} more did not fit; export again when these receipts are back.`
      : '';
  const what = `${plural(count(event, 'versions'), 'version')} in ${plural(count(event, 'commits'), 'commit')}`;
  return `${missing}${file}: ${what}, ${formatBytes(bytes)}, sealed. They stay queued until their receipts are here.${more}\n${next}`;
}

function importText(event: AgentEvent): string {
  const [receipts, queued] = [count(event, 'receipts'), count(event, 'queued')];
  const versions = plural(count(event, 'versions'), 'version');
  const news =
    receipts === 0
      ? 'Nothing new in these receipts'
      : `${plural(receipts, 'receipt')} taken in, ${versions} safe`;
  const rest =
    queued === 0
      ? 'nothing is queued'
      : `${plural(queued, 'version')} still queued: export again to carry ${queued === 1 ? 'it' : 'them'}`;
  const renewed =
    event['renewed'] === true
      ? '\nThe collector has commits under this PC’s identity that this PC did not make; it goes on under a new chain. Tell central IT.'
      : '';
  return `${news}; ${rest}.${renewed}`;
}

function count(event: AgentEvent, field: string): number {
  const value = event[field];
  return typeof value === 'number' ? value : 0;
}

function plural(many: number, what: string): string {
  return `${formatCount(many)} ${what}${many === 1 ? '' : 's'}`;
}
