import { formatBytes, formatCount, formatCounted, printable } from '../cli/format.ts';
import { jsonOf } from '../json.ts';

/**
 * What is in a diagnosis, in a few lines for a person who is about to hand it on. Tolerant: what
 * another release wrote, or a collector made up, is counted as far as it can be.
 */
export function summaryOf(text: string): string[] {
  const diagnosis = parsed(text);
  const versions = partOf(diagnosis['versions']);
  const log = partOf(diagnosis['log']);
  const problems = Object.entries(partOf(diagnosis['problemCounts'])).map(
    ([code, count]) => `${formatCount(Number(count) || 0)} ${code}`,
  );
  const findings = listOf(diagnosis['fsck']).map(partOf);
  const wrong = findings.filter(({ severity }) => severity === 'error').length;
  const lines = [
    `In it, ${formatBytes(Buffer.byteLength(text))} of text:`,
    `  versions: ${versions['agent']}, Node ${versions['node']}, ${versions['system']} ${versions['release']} ${versions['arch']}`,
    `  settings, status, times, memory, disk and clock; ${formatCounted(listOf(diagnosis['sources']).length, 'watched folder')}, hidden`,
    `  problems: ${problems.length === 0 ? 'none' : problems.join(', ')}`,
    `  fsck: ${diagnosis['fsck'] === null ? 'left out, for the queue is large' : wrong === 0 ? 'nothing wrong' : formatCounted(wrong, 'thing')}${wrong === 0 ? '' : ' wrong'}`,
    `  log: ${log['known'] === true ? `the last ${formatCounted(listOf(log['lines']).length, 'line')}` : 'not known here'}`,
    'Not in it: content, and names of files, folders, people and PCs. A number stands for each.',
  ];
  return lines.map((line) => printable(line));
}

type Part = Readonly<Record<string, unknown>>;

function parsed(text: string): Part {
  return partOf(jsonOf(text));
}

function partOf(value: unknown): Part {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Part)
    : {};
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}
