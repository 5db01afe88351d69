import { MAX_POLICY_BYTES } from '@aliquot/proto';
import { UsageError } from '@aliquot/shared/cli/errors';
import { printable } from '@aliquot/shared/cli/format';
import type { Output } from '@aliquot/shared/cli/output';
import { type Policy, readPolicy } from '@aliquot/shared/settings/policy';
import type { Mistake } from '@aliquot/shared/settings/text';
import type { CommandContext } from '../../cli/context.ts';
import { readText } from '../../cli/read-text.ts';

/** A policy file that was read. */
export interface PolicyFile {
  readonly text: string;
  readonly policy: Policy;
}

/** Reads a policy file; `USAGE_CONFIG` after every mistake in it was reported with its line. */
export async function policyIn(
  context: CommandContext,
  file: string,
  output: Output,
): Promise<PolicyFile> {
  const text = await readText(context, file, 'policy', MAX_POLICY_BYTES);
  const read = readPolicy(text);
  if ('policy' in read) return { text, policy: read.policy };
  for (const mistake of read.mistakes) output.note(mistakeText(file, mistake));
  const count = read.mistakes.length;
  throw new UsageError(
    'USAGE_CONFIG',
    `${file} has ${count} ${count === 1 ? 'mistake' : 'mistakes'}, named above; mend ${count === 1 ? 'it' : 'them'}`,
  );
}

export function mistakeText(file: string, { line, column, message }: Mistake): string {
  const place = column === undefined ? `${line}` : `${line}:${column}`;
  return `${file}:${place}: ${printable(message)}`;
}
