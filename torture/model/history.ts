import {
  DROPPED,
  EXPIRED,
  type HistoryNode,
  type HistoryStep,
  KEPT,
  type ModelVersion,
  NONE,
  type State,
  type Told,
} from './state.ts';

/*
 * How a record changes what the history says. What happens live and a replay come through here.
 */

function apply(told: Told, record: HistoryStep, versions: readonly ModelVersion[]): void {
  told.length += 1;
  switch (record.type) {
    case 'uploads':
      told.owned[record.lineage] = (told.owned[record.lineage] ?? 0) | record.items;
      return;
    case 'references':
      told.walked[record.lineage] = (told.walked[record.lineage] ?? 0) | record.items;
      return;
    case 'swept':
      told.owned[record.lineage] = (told.owned[record.lineage] ?? 0) & ~record.items;
      told.walked[record.lineage] =
        (told.walked[record.lineage] ?? 0) & ~(record.items | record.unwalked);
      return;
    case 'commit':
      told.lines |= 1 << record.line;
      enter(told, versions, record.version, KEPT);
      return;
    case 'expired':
      enter(told, versions, record.version, EXPIRED);
      return;
    case 'undone':
      enter(told, versions, record.version, KEPT);
      return;
    case 'dropped':
      told.hasDropped[record.lineage] = true;
      enter(told, versions, record.version, DROPPED);
      return;
    case 'announced':
      told.announced[record.lineage] = record.epoch;
      told.hasDropped[record.lineage] = false;
      told.newest = Math.max(told.newest, record.epoch);
      return;
    case 'ended':
      told.swept[record.lineage] = record.epoch;
      return;
    case 'reported':
      told.reported |= 1 << record.line;
      return;
    case 'reopened':
      told.reported = 0;
      told.logEpoch += 1;
  }
}

function enter(told: Told, versions: readonly ModelVersion[], id: number, stage: number): void {
  const at = versions.findIndex((version) => version.id === id);
  if (at >= 0) told.stages[at] = stage;
}

/** Appends a record, and makes what follows from it visible. */
export function append(state: State, record: HistoryStep): void {
  state.history = { record, before: state.history };
  apply(state.now, record, state.versions);
}

/**
 * What a history says from its first record on. A commit that was thinned has lost its versions:
 * they are entered as what they were when that was done.
 */
export function replay(
  last: HistoryNode | undefined,
  base: Told,
  versions: readonly ModelVersion[],
  isThinned: (version: ModelVersion) => boolean,
): Told {
  const records: HistoryStep[] = [];
  for (let node = last; node !== undefined; node = node.before) records.push(node.record);
  const told: Told = {
    ...base,
    owned: [...base.owned],
    walked: [...base.walked],
    announced: [...base.announced],
    swept: [...base.swept],
    hasDropped: [...base.hasDropped],
    stages: versions.map(({ id }) => (id < 0 ? KEPT : NONE)),
  };
  for (const record of records.reverse()) apply(told, record, versions);
  for (const [at, version] of versions.entries()) if (isThinned(version)) told.stages[at] = DROPPED;
  return told;
}
