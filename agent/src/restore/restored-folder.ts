import { exists, joinRaw } from '@aliquot/shared/durable/durable';
import type { FilePort } from '@aliquot/shared/durable/file-port';
import {
  belowPlacement,
  hostPlatform,
  type Placement,
  restoredStamp,
} from '@aliquot/shared/restore/target';
import { type BytePath, bytePath, nameOf, pathBytes, separator } from '../source/paths.ts';
import { type CompiledRules, RESTORED_FOLDER } from '../source/rules.ts';

/** A folder of a restore without a target. */
export interface RestoredFolder {
  /** Where the writer's root is: beside what was backed up. */
  readonly base: BytePath;
  readonly placement: Placement;
  /** Where a path goes, for people. */
  shown(path: BytePath): BytePath;
}

/**
 * The folder beside which restored files go: the one that holds the source's root (`top`), or the
 * path itself where no source holds it. Never one inside a folder result: what a person's software
 * takes as one measurement gets nothing added to it.
 */
export function besideOf(top: BytePath, rules: Pick<CompiledRules, 'folderResult'>): BytePath {
  let base = parentOf(top);
  for (let folder = base; folder !== parentOf(folder); folder = parentOf(folder)) {
    if (rules.folderResult(folder)) base = parentOf(folder);
  }
  return base;
}

/**
 * A folder `Restored from backup/<time>` in `base` that is not there yet; whole paths from `base`
 * on go below it.
 */
export async function newRestoredFolder(
  port: FilePort,
  base: BytePath,
  nowMs: number,
): Promise<RestoredFolder> {
  for (let attempt = 1; ; attempt += 1) {
    const [folder, stamp] = [
      Buffer.from(RESTORED_FOLDER),
      Buffer.from(restoredStamp(nowMs, attempt)),
    ] as const;
    const target = joinRaw(joinRaw(pathBytes(base), folder), stamp);
    if (await exists(port, target)) continue;
    return {
      base,
      placement: belowPlacement(hostPlatform, pathBytes(base), [folder, stamp]),
      shown: (path) =>
        bytePath(Buffer.from(target)) +
        (base.endsWith(separator) ? separator : '') +
        path.slice(base.length),
    };
  }
}

/** The folder that a path is in; a root is in itself. */
function parentOf(path: BytePath): BytePath {
  const end = path.length - nameOf(path).length - 1;
  // A share of a file server is a root too: nothing is made beside it.
  if (path.endsWith(separator) || end < 0 || /^\\\\[^\\]+\\[^\\]+$/.test(path)) return path;
  const parent = path.slice(0, end);
  return parent === '' || parent.endsWith(':') ? parent + separator : parent;
}
