import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Writable } from 'node:stream';
import { createOutput, type Output, OutputClosed } from '@aliquot/shared/cli/output';
import { StandardOutput } from '@aliquot/shared/cli/standard-output';
import { errnoOf } from '@aliquot/shared/durable/system-errors';
import { environmentForOthers } from '../environment.ts';
import { type CommandContext, outputOf, type Pager } from './context.ts';

/**
 * The pager that the person likes (`PAGER`, read by a shell as git does), else `less`, which ends
 * by itself when all fits on one screen. `undefined` where there is none, as on Windows without
 * `PAGER`.
 */
export async function openPager(wanted: string | undefined): Promise<Pager | undefined> {
  if (wanted === undefined && process.platform === 'win32') return undefined;
  // A pager can start a shell.
  const env = environmentForOthers();
  const child: ChildProcessByStdio<Writable, null, null> =
    wanted === undefined
      ? spawn('less', ['-FRX'], { stdio: ['pipe', 'inherit', 'inherit'], env })
      : spawn(wanted, { stdio: ['pipe', 'inherit', 'inherit'], env, shell: true });
  const ended = once(child, 'close');
  ended.catch(() => undefined); // `error` comes first, where there is no such program
  try {
    await once(child, 'spawn');
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
    return undefined; // no such program
  }
  // Ctrl-C is the pager's: what it shows must not be taken away under it.
  const ignore = () => undefined;
  process.on('SIGINT', ignore);
  return {
    output: new StandardOutput(child.stdin),
    async end() {
      child.stdin.end();
      await ended;
      process.off('SIGINT', ignore);
    },
  };
}

/** Runs a command that lists things, through a pager where a person looks at a terminal. */
export async function paged(
  context: CommandContext,
  options: { readonly json?: boolean | undefined },
  work: (output: Output) => Promise<void>,
): Promise<void> {
  const { stderr, clock } = context;
  const pager =
    options.json === true || !context.stdout.isTTY ? undefined : await context.pager?.();
  if (pager === undefined) return work(outputOf(context, options, 'reads'));
  try {
    await work(createOutput({ json: false, stdout: pager.output, stderr, clock, reads: true }));
  } catch (error) {
    // Anyone who leaves a pager has seen enough.
    if (!(error instanceof OutputClosed)) throw error;
  } finally {
    await pager.end();
  }
}
