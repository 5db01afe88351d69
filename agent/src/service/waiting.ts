import { defaultFolderResults } from '@aliquot/shared/settings/defaults';
import { sourceFor } from '../capture/scan.ts';
import type { Agent } from '../folder/agent.ts';
import { type BytePath, isWithin } from '../source/paths.ts';
import { compileRules, excludedFrom } from '../source/rules.ts';
import { type Source, sourceOf } from '../source/source.ts';
import { captureReferences } from '../watch/reference-pass.ts';
import type { Tally } from '../watch/tally.ts';

export interface WaitingRequest {
  readonly where: (path: BytePath) => boolean;
  readonly all: boolean;
  /** See `ReferencePassParts`. */
  readonly onChanged: ((path: BytePath) => void) | undefined;
}

/** Captures what waits at its source for room in the queue; see `captureReferences`. */
export function captureWaiting(
  agent: Agent,
  request: WaitingRequest,
  signal: AbortSignal,
): Promise<Tally> {
  const { host, queue, references, underWay, places, identity, clock } = agent;
  const sourceOf = (path: BytePath, className: string) => sourceOfWaiting(agent, path, className);
  return captureReferences(
    {
      host,
      queue,
      references,
      underWay,
      places,
      pathKey: identity.pathKey,
      clock,
      sourceOf,
      ...request,
    },
    signal,
  );
}

/**
 * The source that watches the path; for a file that a person once named, one of its own. Undefined
 * when it is excluded now.
 */
function sourceOfWaiting(agent: Agent, path: BytePath, className: string): Source | undefined {
  if (agent.ownFolders.some((own) => isWithin(path, own))) return undefined;
  const configured = sourceFor(agent.sources.now, path);
  if (configured !== undefined)
    return excludedFrom(compileRules(configured.rules), path, configured.root)
      ? undefined
      : configured;
  const rules = { exclude: [], folderResults: defaultFolderResults, leaveOut: agent.ownFolders };
  return sourceOf(agent.identity.pathKey, {
    root: path,
    class: className,
    rules,
    proof: undefined,
  });
}
