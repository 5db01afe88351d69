import { resolve } from 'node:path';
import { UsageError } from '@aliquot/shared/cli/errors';
import { pathText } from '@aliquot/shared/cli/format';
import { pathCandidates } from '@aliquot/shared/cli/path-set';
import { DEFAULT_CLASS, defaultFolderResults } from '@aliquot/shared/settings/defaults';
import { knownAt } from '../capture/presence.ts';
import { sourceFor } from '../capture/scan.ts';
import type { Agent } from '../folder/agent.ts';
import { acceptLead, leadOf } from '../folder/leads.ts';
import type { BackupRequest } from '../socket/protocol.ts';
import { excludeMistake } from '../source/excludes.ts';
import { type BytePath, bytePath, isWithin, pathBytes, spelledPath } from '../source/paths.ts';
import { ownFolderProblem, type Problem } from '../source/problem.ts';
import { builtInExcludes } from '../source/rules.ts';
import { type Source, sourceOf } from '../source/source.ts';

/** One thing to scan: a path, and the source whose rules and class it comes under. */
export interface Root {
  readonly source: Source;
  readonly at: BytePath;
  /** A person said that what is not there is gone. */
  readonly acceptGone: boolean;
}

/**
 * What the named paths come down to: each once, under the source that it belongs to. A symbolic
 * link that a person names means the link and what it leads to, for a backup of nothing but a link
 * would be a silent surprise. Error: `USAGE_INVALID` for an exclude pattern that can never match.
 */
export async function findRoots(
  agent: Agent,
  request: BackupRequest,
  missing: (path: BytePath, problem: Problem) => Promise<void>,
): Promise<Root[]> {
  const paths = new Set<BytePath>();
  const troubles = new Map<BytePath, Problem>();
  const acceptGone = request.acceptGone === true;
  await agent.sources.refresh();
  for (const text of request.paths) {
    const path = await pathMeant(agent, text);
    const seen = await agent.host.look(path);
    const isOwn =
      typeof seen === 'string'
        ? seen === 'EOWNFOLDER'
        : seen.own === true || isBelowOwn(agent, path);
    if (isOwn) {
      await missing(path, ownFolderProblem());
      continue;
    }
    if (typeof seen === 'string') {
      const isKnown = seen === 'ENOENT' && (await isAnythingKnown(agent, path));
      if (isKnown && acceptGone) paths.add(path);
      else await missing(path, { code: 'vanished', message: vanishedMessage(seen, isKnown) });
      continue;
    }
    paths.add(path);
    const { targets, trouble } = await leadOf(agent, path);
    for (const target of targets)
      if (
        typeof (await agent.host.look(target)) !== 'string' ||
        (await isAnythingKnown(agent, target))
      )
        paths.add(target);
    if (trouble !== undefined && !(acceptGone && trouble.code === 'link-moved'))
      troubles.set(path, trouble);
  }
  refuseUseless(request.exclude, [...paths]);
  // A configured source inside a named folder keeps its own class and rules.
  for (const { root } of agent.sources.now)
    if ([...paths].some((path) => path !== root && isWithin(root, path))) paths.add(root);
  const tops = [...paths].filter((path) => {
    const above = [...paths].filter((other) => other !== path && isWithin(path, other));
    return above.every(
      (other) => sourceFor(agent.sources.now, other) !== sourceFor(agent.sources.now, path),
    );
  });
  const roots = tops.map((at) => ({ at, source: sourceAt(agent, request, at), acceptGone }));
  if (!request.dryRun) {
    // Only now: where a link led before has its source until then.
    if (acceptGone) for (const at of tops) await acceptLead(agent, at);
    await agent.sources.refresh();
    await agent.places.save();
  }
  for (const { root, trouble } of agent.sources.now)
    if (trouble !== undefined) troubles.set(root, trouble);
  return roots.map((root) => ({
    ...root,
    source: { ...root.source, trouble: troubles.get(root.at) },
  }));
}

function isBelowOwn({ ownFolders }: Agent, path: BytePath): boolean {
  return ownFolders.some((own) => isWithin(path, own));
}

/**
 * A path as it was typed, or with the bytes behind its `\xNN` if only that is there; spelled as the
 * disk does.
 */
async function pathMeant({ host, port }: Agent, text: string): Promise<BytePath> {
  const [plain = '', ...others] = pathCandidates(resolve('/', text)).map(bytePath);
  for (const path of [plain, ...others])
    if (typeof (await host.look(path)) !== 'string') return spelledPath(port, path);
  return spelledPath(port, plain);
}

async function isAnythingKnown({ queue }: Agent, path: BytePath): Promise<boolean> {
  for await (const batch of knownAt(queue.ledger, path)) if (batch.length > 0) return true;
  return false;
}

function vanishedMessage(code: string, isKnown: boolean): string {
  if (code !== 'ENOENT') return `cannot be looked at (${code})`;
  if (!isKnown) return 'is not there; check the spelling';
  return 'is not there any more; connect its drive or share, or, if it is gone for good, say so with --accept-gone';
}

function refuseUseless(globs: readonly string[], paths: readonly BytePath[]): void {
  const roots = paths.map((path) => pathText(pathBytes(path)));
  for (const glob of globs) {
    const mistake = excludeMistake(glob, roots);
    if (mistake !== undefined)
      throw new UsageError('USAGE_INVALID', `--exclude "${glob}" ${mistake}`);
  }
}

function sourceAt(agent: Agent, request: BackupRequest, at: BytePath): Source {
  const configured = sourceFor(agent.sources.now, at);
  const exclude = request.exclude.map((glob) => ({ glob, below: at }));
  if (configured !== undefined) {
    const rules = { ...configured.rules, exclude: [...configured.rules.exclude, ...exclude] };
    return { ...configured, rules, proof: undefined };
  }
  const inner = agent.sources.now.map(({ root }) => root).filter((root) => isWithin(root, at));
  const rules = {
    exclude: [...exclude, ...builtInExcludes(at)],
    folderResults: defaultFolderResults,
    leaveOut: [...agent.ownFolders, ...inner],
  };
  return sourceOf(agent.identity.pathKey, {
    root: at,
    class: DEFAULT_CLASS,
    rules,
    proof: undefined,
  });
}
