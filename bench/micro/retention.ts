import {
  type FileHistoryFacts,
  keptFor,
  type VersionFacts,
} from '../../collector/src/retention/kept.ts';
import { rulingFor } from '../../collector/src/retention/ruling.ts';
import { readPolicy } from '../../shared/src/settings/policy.ts';
import { inClear } from '../../shared/src/settings/retention.ts';
import { retentionTemplates } from '../../shared/src/settings/retention-templates.ts';
import { Noise } from '../data/noise.ts';
import type { MicroTask } from './task.ts';

const FILES = 100_000;
const EACH = 5;
const DAY_MS = 86_400_000;
const NOW_MS = Date.UTC(2026, 10, 30);

/**
 * Judging versions by the template "raw": what simulating a policy costs beside reading the rows.
 * Facts are made while they are judged, as from rows of a catalog.
 */
export const retention: MicroTask = {
  name: 'retention',
  unit: 'items/s',
  async open() {
    const read = readPolicy(retentionTemplates[0]?.text ?? '');
    const section = 'policy' in read ? read.policy.retention : undefined;
    if (section === undefined) throw new Error('the template has rules');
    const none = { lineages: new Uint8Array(0), sources: new Uint8Array(0) };
    const policy = { revision: 1, setAtMs: 0, ...inClear(section, () => none) };
    const id = new Uint8Array(16);
    const ruledBy = { className: 'raw', agent: 'hplc-1', lineageId: id, sourceId: id };
    const ruling = rulingFor([policy], ruledBy, NOW_MS);
    const noise = new Noise(1, 'retention');
    const gaps = Array.from({ length: 1 << 14 }, () => (noise.int() >>> 0) % (60 * DAY_MS));
    const fileAt = (file: number): FileHistoryFacts => {
      const versions: VersionFacts[] = [];
      let timeMs = NOW_MS - 300 * DAY_MS;
      for (let at = 0; at < EACH; at += 1) {
        const gap = gaps[(file * EACH + at) % gaps.length] ?? 0;
        const isLast = at === EACH - 1;
        const untilMs = isLast ? Infinity : timeMs + gap;
        versions.push({
          ...{ timeMs, receivedMs: timeMs, place: at, kind: 'whole', ruling },
          ...{ untilMs, replacedMs: untilMs, replacedPlace: isLast ? Infinity : at + 1 },
          resultUntilMs: undefined,
        });
        timeMs = untilMs;
      }
      return { versions, holds: [], isDecided: true };
    };
    return {
      run() {
        let stays = 0;
        for (let file = 0; file < FILES; file += 1)
          for (const end of keptFor(fileAt(file)).ends) if (end > NOW_MS) stays += 1;
        if (stays < FILES) throw new Error('the newest of each file stays');
        return FILES * EACH;
      },
    };
  },
};
