import {
  changesBetween,
  foldersOf,
  type LostCover,
  lostCover,
  type SettingChange,
} from '@aliquot/shared/settings/compare';
import {
  noSettings,
  type Policy,
  type RenderedSettings,
  renderSettings,
} from '@aliquot/shared/settings/policy';
import type { DeskPc } from './desk.ts';

/** What a new policy means for one PC. */
export interface PcPlan {
  readonly pc: DeskPc;
  readonly now: RenderedSettings;
  readonly changes: readonly SettingChange[];
  /** What it backed up by the policy so far, and does not by the new one. */
  readonly lost: readonly LostCover[];
  /** Whether it is handed anything at all. */
  readonly sends: boolean;
  /** Whether it waits until the first ones have proved to be well. */
  readonly waits: boolean;
}

export interface PlanOptions {
  /** The group that gets the new settings first; undefined: everybody at once. */
  readonly canary: string | undefined;
  /** Hand out everything again, also what did not change. */
  readonly all: boolean;
}

/** What setting `policy` in the place of `before` means, PC by PC. Pure. */
export function planOf(
  pcs: readonly DeskPc[],
  before: Policy | undefined,
  policy: Policy,
  { canary, all }: PlanOptions,
): readonly PcPlan[] {
  return pcs.flatMap((pc): PcPlan[] => {
    const old = before && renderSettings(before, pc.name);
    const { offered, waiting } = pc.info.settings;
    const has = offered > 0 || waiting > 0;
    const rendered =
      renderSettings(policy, pc.name) ?? (has || old !== undefined ? noSettings : undefined);
    if (rendered === undefined) return [];
    const changes = changesBetween(old?.plain ?? {}, rendered.plain);
    // Anyone who waited for an earlier policy no longer does when this one is for everybody.
    const freed = waiting > 0 && canary === undefined;
    const regrouped = JSON.stringify(old?.groups ?? []) !== JSON.stringify(rendered.groups);
    const sends = all || !has || changes.length > 0 || freed || regrouped;
    const waits = sends && canary !== undefined && !rendered.groups.includes(canary);
    return [
      {
        pc,
        now: rendered,
        changes,
        lost: lostCover(foldersOf(old?.plain ?? {}), foldersOf(rendered.plain)),
        sends,
        waits,
      },
    ];
  });
}
