import { UsageError } from '@aliquot/shared/cli/errors';
import { pathText } from '@aliquot/shared/cli/format';
import { excludeMistake } from '../capture/excludes.ts';
import { knownAt } from '../capture/known.ts';
import { type BytePath, bytePath, fromText, isWithin, pathBytes } from '../capture/paths.ts';
import type { Problem } from '../capture/problem.ts';
import { defaultFolderResults } from '../capture/rules.ts';
import { sourceFor } from '../capture/scan.ts';
import { defaultClass, type Source, sourceOf } from '../capture/source.ts';
import type { Agent } from './agent.ts';
import type { BackupRequest } from './protocol.ts';

/** One thing to scan: a path, and the source whose rules and class it comes under. */
export interface Root {
  readonly source: Source;
  readonly at: BytePath;
  /** A person said that what is not there is gone. */
  readonly acceptGone: boolean;
}

/**
 * What the named paths come down to: each once, under the source that it belongs to. A symbolic link that a person names means
 * the link and what it leads to, for a backup of nothing but a link would be a silent surprise. Error: `USAGE_INVALID` for an exclude
 * pattern that can never match.
 */
export async function findRoots(
  agent: Agent,
  request: BackupRequest,
  missing: (path: BytePath, problem: Problem) => Promise<void>,
): Promise<Root[]> {
  const paths = new Set<BytePath>();
  for (const text of request.paths) {
    const path = fromText(text, '/');
    const seen = await agent.host.look(path);
    if (typeof seen === 'string') {
      const isKnown = seen === 'ENOENT' && (await isAnythingKnown(agent, path));
      if (isKnown && request.acceptGone === true) paths.add(path);
      else await missing(path, { code: 'vanished', message: vanishedMessage(seen, isKnown) });
      continue;
    }
    if (agent.ownFolders.some((own) => isWithin(path, own))) {
      await missing(path, { code: 'special', message: 'is the agent’s own data folder, which is never backed up' });
      continue;
    }
    paths.add(path);
    if (seen.kind !== 'symlink') continue;
    const target = await agent.port.realpath(pathBytes(path)).then(bytePath, () => undefined);
    if (target !== undefined) paths.add(target);
  }
  refuseUseless(request.exclude, [...paths]);
  // A configured source inside a named folder keeps its own class and rules.
  for (const { root } of agent.sources) if ([...paths].some((path) => path !== root && isWithin(root, path))) paths.add(root);
  const tops = [...paths].filter((path) => {
    const above = [...paths].filter((other) => other !== path && isWithin(path, other));
    return above.every((other) => sourceFor(agent.sources, other) !== sourceFor(agent.sources, path));
  });
  return tops.map((at) => ({ at, source: sourceAt(agent, request, at), acceptGone: request.acceptGone === true }));
}

async function isAnythingKnown({ queue }: Agent, path: BytePath): Promise<boolean> {
  for await (const batch of knownAt(queue, path)) if (batch.length > 0) return true;
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
    if (mistake !== undefined) throw new UsageError('USAGE_INVALID', `--exclude "${glob}" ${mistake}`);
  }
}

function sourceAt(agent: Agent, request: BackupRequest, at: BytePath): Source {
  const configured = sourceFor(agent.sources, at);
  const exclude = request.exclude.map((glob) => ({ glob, below: at }));
  if (configured !== undefined) {
    const rules = { ...configured.rules, exclude: [...configured.rules.exclude, ...exclude] };
    return { ...configured, rules, proof: undefined };
  }
  const inner = agent.sources.map(({ root }) => root).filter((root) => isWithin(root, at));
  const rules = { exclude, folderResults: defaultFolderResults, leaveOut: [...agent.ownFolders, ...inner] };
  return sourceOf(agent.identity.pathKey, { root: at, class: defaultClass, rules, proof: undefined });
}
