import type { FileId, ResultId } from '@aliquot/proto';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import { keys } from '../../catalog/catalog-keys.ts';
import {
  decodeEarlier,
  decodeHead,
  type EarlierVersion,
  GROUP_SLOTS,
  groupOf,
  type VersionPlace,
} from '../../catalog/version-rows.ts';
import type { JudgedSubject, Subject, UnreadSubject } from '../../vault-retention.ts';
import type { VaultCore } from '../core.ts';
import { chainTo, link, receiptsIn } from './chains.ts';
import { ClearNames, clearLeaf } from './clear-rows.ts';
import { ExpiredMarks } from './expired-marks.ts';
import { type FactsAsked, SubjectJudge } from './file-facts.ts';
import { type DatedFacts, NONE, VersionColumns } from './version-columns.ts';

/**
 * What `factsOf` tells of one file or result, and of no other: reads its chain, the rows of its
 * results, and the commits of both. Undefined: the history has no such file.
 */
export async function factsOfOne(
  core: VaultCore,
  asked: FactsAsked,
  wanted: Pick<Subject, 'id' | 'isResult'>,
): Promise<JudgedSubject | UnreadSubject | undefined> {
  const history = core.registry.lineage(asked.branchId)?.number;
  if (history === undefined) return undefined;
  const names = new ClearNames();
  const marks = await ExpiredMarks.of(core, history, asked.policies);
  const judge = new SubjectJudge(core, asked, names, marks);
  const chain = await chainOf(core, history, names, wanted);
  if (chain === undefined) return undefined;
  const unread = { ...wanted, branchId: asked.branchId, facts: undefined };
  if (chain === 'unread') return unread;
  const results = new Set(chain.map(({ result }) => result).filter((result) => result !== NONE));
  for (const result of results) {
    const row = { id: names.resultId(result), isResult: true };
    const rows = await chainOf(core, history, names, row);
    if (rows === 'unread') judge.loseRows(row.id);
    else if (rows !== undefined) await judge.judge(row, rows);
  }
  return judge.judge(wanted, chain);
}

async function chainOf(
  core: VaultCore,
  history: number,
  names: ClearNames,
  { id, isResult }: Pick<Subject, 'id' | 'isResult'>,
): Promise<readonly DatedFacts[] | 'unread' | undefined> {
  const row = await core.catalog.get(
    isResult ? keys.result(history, id as ResultId) : keys.head(history, id as FileId),
  );
  if (row === undefined) return undefined;
  const head = decodeHead(row);
  const links: { readonly version: VersionPlace; readonly earlier: EarlierVersion }[] = [];
  for (let version: VersionPlace = head; ; ) {
    const key = keys.earlier(history, version.leafIndex, groupOf(version.slot));
    const stored = await core.catalog.get(key);
    const earlier = stored && decodeEarlier(stored).get(version.slot % GROUP_SLOTS);
    if (earlier === undefined) break;
    links.push({ version, earlier });
    version = earlier;
  }
  const columns = new VersionColumns();
  const leaves = new Map<number, number[]>();
  for (const { leafIndex, slot } of [head, ...links.map(({ earlier }) => earlier)])
    leaves.set(leafIndex, [...(leaves.get(leafIndex) ?? []), slot]);
  for (const [leafIndex, slots] of [...leaves].sort(([a], [b]) => a - b)) {
    const leaf = await clearLeaf(
      core,
      leafIndex,
      names,
      (other, ofResult) => ofResult === isResult && equalBytes(other, id),
    );
    if (leaf === undefined) return 'unread';
    columns.begin(leafIndex, leaf.receivedMs);
    const rising = slots.toSorted((a, b) => a - b);
    leaf.at(rising, (facts) => columns.add(facts));
  }
  const receivedMs = receiptsIn(core);
  for (const { version, earlier } of links) await link(columns, version, earlier, receivedMs);
  return chainTo(columns, head) ?? 'unread';
}
