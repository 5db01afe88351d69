import { PartialError } from '@aliquot/shared/cli/errors';
import { formatBytes, formatCounted, pathText, printable } from '@aliquot/shared/cli/format';
import type { Output } from '@aliquot/shared/cli/output';
import type { RestoreSummary } from '@aliquot/shared/restore/restore-files';

/** A name that could not be given back. */
export interface FailedName {
  readonly path: Uint8Array;
  readonly error: { readonly code: string; readonly message: string };
}

/** Names what was not given back. */
export async function tellFailures(output: Output, failures: readonly FailedName[]): Promise<void> {
  for (const { path, error } of failures) {
    await output.result({
      event: 'failed',
      path: pathText(path),
      code: error.code,
      message: error.message,
    });
  }
  if (!output.json) for (const line of failureLines(failures)) output.note(line);
}

/** What was given back, below which folder; `also` in the event. Error: `PARTIAL`. */
export async function tellRestored(
  output: Output,
  { files, bytes, directories, links, same, growing, failed }: RestoreSummary,
  to: string,
  also: object = {},
): Promise<void> {
  const more = [
    directories > 0 ? formatCounted(directories, 'folder') : '',
    links > 0 ? formatCounted(links, 'link') : '',
    same > 0 ? `${same} ${same === 1 ? 'was' : 'were'} there already` : '',
    growing > 0
      ? `${growing} captured while growing, proved piece by piece: they have no hash of the whole`
      : '',
  ];
  const extra = more.filter((text) => text !== '').join(', ');
  await output.result(
    { event: 'summary', files, bytes, failed, directories, links, same, growing, ...also },
    `${formatCounted(files, 'file')}, ${formatBytes(bytes)} restored and proved, below ${printable(to)}${extra === '' ? '' : ` (${extra})`}`,
  );
  if (failed > 0)
    throw new PartialError(
      'PARTIAL',
      `${failed} ${failed === 1 ? 'name' : 'names'} could not be restored; each is named above`,
    );
}

/**
 * Every file that was not given back, once, by cause: a cause that does not name the file itself
 * stands above its files.
 */
function failureLines(failures: readonly FailedName[]): string[] {
  const causes = new Map<string, string[]>();
  for (const { path, error } of failures) {
    const name = printable(pathText(path));
    const cause = `not restored: ${error.message} [${error.code}]`;
    const files = causes.get(cause) ?? [];
    causes.set(cause, files);
    if (!error.message.includes(name)) files.push(name);
  }
  return [...causes].flatMap(([cause, files]) =>
    files.length === 0 ? [cause] : [`${cause}:`, ...files.map((name) => `  ${name}`)],
  );
}
