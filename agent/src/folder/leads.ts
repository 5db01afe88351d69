import { pathText } from '@aliquot/shared/cli/format';
import type { FilePort } from '@aliquot/shared/durable/file-port';
import { realPath } from '@aliquot/shared/durable/held-folders';
import { errnoOf, systemSays } from '@aliquot/shared/durable/system-errors';
import { whenForeseen } from '@aliquot/shared/durable/unexpected';
import type { CaptureHost } from '../capture/host.ts';
import { type BytePath, bytePath, isWithin, pathBytes } from '../source/paths.ts';
import type { PlaceBook } from '../source/places.ts';
import { brokenLinkProblem, movedLinkProblem, type Problem } from '../source/problem.ts';

/**
 * Where a path leads that a person named: a folder of the configuration, or one given to `backup`.
 */
export interface Lead {
  /** A symbolic link, or a junction of Windows. */
  readonly isLink: boolean;
  /**
   * Where the link leads, the newest last; before it where it led until a person accepts the
   * change.
   */
  readonly targets: readonly BytePath[];
  /** What is there, behind the link too; undefined: nothing. */
  readonly kind: 'file' | 'directory' | 'special' | undefined;
  readonly trouble: Problem | undefined;
}

export interface LeadParts {
  readonly host: CaptureHost;
  readonly port: FilePort;
  readonly places: PlaceBook;
  readonly ownFolders: readonly BytePath[];
}

type Kind = Exclude<Lead['kind'], undefined>;

/** What stands at a path; for a link where it ends, or why it does not. */
type Found =
  | { readonly kind: Lead['kind'] }
  | { readonly kind: Kind; readonly target: BytePath }
  | { readonly broken: string };

/** Looks where a path leads, and remembers it with the next `save` of the places. */
export async function leadOf(parts: LeadParts, path: BytePath): Promise<Lead> {
  const { places, ownFolders } = parts;
  const before = places.targets(path);
  const found = await follow(parts, path);
  if ('broken' in found)
    return {
      isLink: true,
      targets: before,
      kind: undefined,
      trouble: brokenLinkProblem(found.broken),
    };
  if (!('target' in found)) {
    const { kind } = found;
    // What is not there just now may be a link again tomorrow.
    if (kind === undefined || before.length === 0)
      return { isLink: before.length > 0, targets: before, kind, trouble: undefined };
    return {
      isLink: false,
      targets: before,
      kind,
      trouble: movedLinkProblem(named(path), before.map(named), undefined),
    };
  }
  const { target, kind } = found;
  const others = before.filter((other) => other !== target);
  const targets = [...others, target];
  places.setTargets(path, targets);
  const isOwn = ownFolders.some((own) => isWithin(target, own));
  const own = isOwn
    ? brokenLinkProblem('it leads to the agent’s own data folder, which is never backed up')
    : undefined;
  const moved =
    others.length > 0 ? movedLinkProblem(named(path), others.map(named), named(target)) : undefined;
  return { isLink: true, targets, kind, trouble: own ?? moved };
}

/**
 * A person takes it for right that a path leads where it does; where it led before is forgotten.
 */
export async function acceptLead(parts: LeadParts, path: BytePath): Promise<void> {
  if (parts.places.targets(path).length === 0) return;
  const found = await follow(parts, path);
  parts.places.setTargets(path, 'target' in found ? [found.target] : []);
  await parts.places.save();
}

async function follow({ host, port }: LeadParts, path: BytePath): Promise<Found> {
  const seen = await host.look(path);
  if (typeof seen === 'string') return { kind: undefined };
  if (seen.kind !== 'symlink') return { kind: seen.kind };
  const says = await port.readlink(pathBytes(path)).then(pathText, whenForeseen('somewhere'));
  try {
    const target = bytePath(await realPath(port, pathBytes(path)));
    const there = await host.look(target);
    // It was a link's end a moment ago.
    if (typeof there === 'string' || there.kind === 'symlink')
      return { broken: `it leads to ${says}, which is changing` };
    return { target, kind: there.kind };
  } catch (error) {
    const code = errnoOf(error);
    if (code === undefined) throw error;
    if (code === 'EFOREIGNLINK')
      return { broken: `it leads to ${says}: ${systemSays('EFOREIGNLINK')}` };
    return {
      broken:
        code === 'ELOOP'
          ? `it leads in a circle, by ${says}`
          : `it leads to ${says}, which is not there (${code})`,
    };
  }
}

function named(path: BytePath): string {
  return pathText(pathBytes(path));
}
