import { resolve } from 'node:path';
import { UsageError } from '@aliquot/shared/cli/errors';
import type { Output } from '@aliquot/shared/cli/output';
import { summaryOf } from '@aliquot/shared/diagnosis/summary';
import { exists, writeFileDurably } from '@aliquot/shared/durable/durable';
import { nodeFiles } from '@aliquot/shared/durable/file-port';
import { performTo } from './open.ts';
import { presenter } from './present.ts';

interface DiagnoseOptions {
  readonly data: string;
  readonly out?: string;
  /** The service's log, where the service itself cannot say it. */
  readonly logFile?: string;
}

/**
 * `diagnose`: asks whatever has the folder open, says what is in the answer, and writes it into a
 * new file.
 */
export async function diagnose(
  { data, out, logFile }: DiagnoseOptions,
  output: Output,
): Promise<void> {
  if (out === undefined)
    throw new UsageError('USAGE_MISSING', 'where to? name a new file with --out FILE');
  const file = resolve(out);
  if (await exists(nodeFiles, file))
    throw new UsageError('USAGE_INVALID', `${file} is there already; name a new file with --out`);
  const parts: string[] = [];
  const shown = presenter(output);
  await performTo(
    data,
    { op: 'diagnose', ...(logFile === undefined ? {} : { logFile: resolve(logFile) }) },
    async (event) => {
      if (event.event === 'diagnosis' && typeof event['part'] === 'string')
        parts.push(event['part']);
      else await shown.emit(event);
    },
    output,
  );
  const text = parts.join('');
  for (const line of summaryOf(text)) output.note(line);
  await writeFileDurably(nodeFiles, file, Buffer.from(text), { mode: 0o600, createOnly: true });
  await output.result(
    { event: 'diagnosis', file, bytes: Buffer.byteLength(text) },
    `written to ${file}`,
  );
}
