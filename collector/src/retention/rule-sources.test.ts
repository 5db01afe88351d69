import { asLineageId, asSourceId, type GroupId } from '@aliquot/proto';
import { utf8 } from '@aliquot/shared/crypto/bytes';
import { type Lineage, pathKeyFor, sourceIdFor } from '@aliquot/shared/keys/derive';
import { ruleSources } from '@aliquot/shared/keys/rule-sources';
import { noise } from '@aliquot/shared/testing/bytes';
import { describe, expect, it } from 'vitest';
import { isAmong } from './rule-sources.ts';

const pathSecret = noise('path secret', 32);
const lineages: Lineage[] = Array.from({ length: 40 }, (_, at) => ({
  lineageId: asLineageId(noise(`lineage ${at}`, 16)),
  lineageGroup: at % 3 === 0 ? (noise('group', 16) as GroupId) : undefined,
}));
const idIn = (lineage: Lineage, path: string) =>
  sourceIdFor(pathKeyFor(pathSecret, lineage), utf8(path));

describe('root folders of a rule, for whoever has no kit', () => {
  const folders = ['D:\\Results', '/data/hplc', 'd:\\results'];
  // A lineage may be there under several names.
  const rule = ruleSources(pathSecret, [...lineages, ...lineages.slice(0, 3)], folders);

  it('are those of each lineage, of Windows in one case', () => {
    expect([rule.lineages.length, rule.sources.length]).toEqual([40 * 8, 2 * 40 * 8]);
    for (const lineage of lineages) {
      const fits = (path: string) => isAmong(rule, lineage.lineageId, idIn(lineage, path));
      expect(['d:\\RESULTS', '/data/hplc'].map(fits)).toEqual([true, true]);
      expect(['/data', '/data/HPLC', 'D:\\Results\\x'].map(fits)).toEqual([false, false, false]);
    }
  });

  it('of one lineage are not those of another, whose paths are the same', () => {
    const [one, other] = lineages as [Lineage, Lineage];
    expect(isAmong(rule, one.lineageId, idIn(other, '/data/hplc'))).toBe(false);
  });

  it('of a lineage that came later are not known', () => {
    const later = { lineageId: asLineageId(noise('later', 16)) };
    expect(isAmong(rule, later.lineageId, idIn(later, '/data/hplc'))).toBeUndefined();
    const none = ruleSources(pathSecret, [], folders);
    expect(isAmong(none, later.lineageId, asSourceId(noise('any', 16)))).toBeUndefined();
  });
});
