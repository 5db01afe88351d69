import { type LineageId, MAX_TIME_MS } from '@aliquot/proto';
import type { BoxKey } from '@aliquot/shared/crypto/box';
import { hex } from '@aliquot/shared/crypto/bytes';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import { openHoldPaths } from '@aliquot/shared/keys/hold';
import { fitsName } from '@aliquot/shared/settings/name-pattern';
import {
  type HeldFile,
  type HoldMatcher,
  holdMatcher,
  type LineageHolds,
} from '../../retention/holds.ts';
import type { FileHold } from '../../retention/kept.ts';
import { keys } from '../catalog/catalog-keys.ts';
import type { CatalogStore } from '../catalog/catalog-store.ts';
import type { HoldRow } from '../catalog/hold-row.ts';
import type { Registry } from '../catalog/registry.ts';

/** Where holds stand, and what was resolved for them. */
interface HoldsView {
  readonly registry: Registry;
  readonly catalog: Pick<CatalogStore, 'get'>;
}

/**
 * The holds of a vault over its files (I-C20). With the catalog key the patterns of a hold open,
 * and it covers the files whose names fit. Without, or where they do not open, it covers its
 * lineages whole, or, once its authority has said which files fit, those, and all that came after
 * that word.
 */
export class HeldFiles {
  readonly #view: HoldsView;
  readonly #catalogKey: BoxKey | undefined;
  /** By hold. Patterns never change, and to open them costs a millisecond. */
  readonly #matchers = new Map<string, HoldMatcher | undefined>();
  /** By lineage: what its agents and branches are called. */
  #names: ReadonlyMap<string, readonly string[]> | undefined;

  /** `catalogKey`: undefined in a blind vault. */
  constructor(view: HoldsView, catalogKey: BoxKey | undefined) {
    this.#view = view;
    this.#catalogKey = catalogKey;
  }

  /** As they are now: whoever decides anew asks anew. */
  of(lineageId: LineageId): LineageHolds {
    const whole: FileHold[] = [];
    const byName: [HoldRow, HoldMatcher][] = [];
    const byFile: [HoldRow, number][] = [];
    for (const row of this.#covering(lineageId)) {
      const matcher = row.body.paths === undefined ? undefined : this.#matcherOf(row);
      const size = lookedAt(row, lineageId);
      if (matcher !== undefined) byName.push([row, matcher]);
      else if (row.body.paths !== undefined && size !== undefined) byFile.push([row, size]);
      else whole.push(fileHold(row));
    }
    const hasOthers = byName.length + byFile.length > 0;
    const othersOver = async (file: HeldFile): Promise<FileHold[]> => {
      const over: HoldRow[] = [];
      for (const [row, size] of byFile)
        if (file.firstLeaf >= size || (await this.#isNamed(row, file))) over.push(row);
      if (byName.length > 0) {
        const path = await file.openPath();
        for (const [row, matcher] of byName)
          if (path === undefined || matcher.fits(path, file.isResult)) over.push(row);
      }
      return over.map(fileHold);
    };
    return { whole, hasOthers, othersOver };
  }

  /** The holds in force whose agents include those of a lineage. */
  #covering(lineageId: LineageId): HoldRow[] {
    const { registry } = this.#view;
    const inForce = registry.holds.inForce();
    if (inForce.length === 0) return inForce;
    const isOf = (id: LineageId): boolean => equalBytes(id, lineageId);
    this.#names ??= namesIn(registry);
    const names = this.#names.get(hex(lineageId)) ?? [];
    return inForce.filter(
      ({ body: { agents, lineageIds } }) =>
        agents.length === 0 ||
        lineageIds.some(isOf) ||
        agents.some((pattern) => names.some((name) => fitsName(pattern, name))),
    );
  }

  #matcherOf({ body }: HoldRow): HoldMatcher | undefined {
    if (this.#catalogKey === undefined) return undefined;
    const id = hex(body.holdId);
    if (!this.#matchers.has(id)) {
      const globs = openHoldPaths(this.#catalogKey, body);
      this.#matchers.set(id, globs && holdMatcher(globs));
    }
    return this.#matchers.get(id);
  }

  async #isNamed({ body }: HoldRow, { id }: HeldFile): Promise<boolean> {
    return (await this.#view.catalog.get(keys.heldFile(body.holdId, id))) !== undefined;
  }
}

function namesIn(registry: Registry): Map<string, string[]> {
  const names = new Map<string, string[]>();
  for (const { lineageId, name, histories } of registry.records()) {
    const of = names.get(hex(lineageId)) ?? [];
    of.push(name, ...histories.map((history) => history.name));
    names.set(hex(lineageId), of);
  }
  return names;
}

/**
 * Up to which leaf the files of a lineage were looked at for a hold; undefined: they were not, as
 * those of a PC that came to it later.
 */
function lookedAt({ body, resolved }: HoldRow, lineageId: LineageId): number | undefined {
  const wasMeant =
    body.agents.length === 0 || body.lineageIds.some((id) => equalBytes(id, lineageId));
  return wasMeant ? resolved?.size : undefined;
}

function fileHold({ body: { name, classes, fromMs, toMs } }: HoldRow): FileHold {
  return {
    name,
    classes: classes.length === 0 ? undefined : new Set(classes),
    fromMs,
    toMs: toMs === MAX_TIME_MS ? Number.POSITIVE_INFINITY : toMs,
  };
}
