import type { TortureScenario } from '@aliquot/shared/testing/scenario';
import { faketimeLibrary } from '../soak/clocks.ts';
import { Programs } from '../years/programs.ts';
import { runYears } from '../years/run-years.ts';

export const yearScenarios: readonly TortureScenario[] = [
  {
    name: 'five-years',
    undivided: true,
    about:
      'twenty PCs for five simulated years over the real store, with policies that keep more and less, holds, undos, purges, collections, PCs off for months, one replaced, one in a cupboard for ever, and a process that ends at random steps: what a book written beside the collector keeps is restored with the kit, at every instant that the rules count; the rest is in no pack, and the PC in the cupboard holds back its own lineage alone.',
    proves: ['P1', 'P2', 'P6'],
    async run({ random, over, log }) {
      const { disk, restored, wrong, days, whole, crashes, decided, purged } = await runYears(
        random,
        over,
        log,
      );
      log(
        `${days} days, ${crashes} crashes, ${purged} versions purged; ${disk.written} bytes sent, ${disk.alive} alive, ${disk.onDisk} on the disk (${disk.percent.toFixed(2)} %)`,
      );
      log(
        `${restored.versions} versions of ${restored.bytes} bytes restored and compared; ${restored.states} states of ${restored.stateFiles} files; ${restored.written} files and ${restored.results} results by the command`,
      );
      const injected = crashes + decided;
      const failed = wrong.map((line) => `case 0: ${line}`);
      return { injected, passed: failed.length === 0 ? injected : 0, failed, whole };
    },
  },
  {
    name: 'years-of-programs',
    undivided: true,
    about:
      'eighteen months of the built programs under libfaketime, a date every week or three: backups, disks that are cleaned, runs of retention and their approval, collection, a collector that is killed or stands for 45 days, a PC that is off for months and one that never comes again: every state that the rules keep comes back with --at, the rest has left list and disk.',
    proves: ['P1', 'P2'],
    async run({ random, over, log }) {
      if (faketimeLibrary === undefined) {
        log('not run: libfaketime is not installed (Debian: apt-get install faketime)');
        return { injected: 0, passed: 0, failed: [], whole: false };
      }
      const { dates, months, restored, expired, onDisk, alive, whole, wrong } = await Programs.run(
        random,
        over,
        log,
      );
      log(
        `${dates} dates in ${months} months, ${expired} versions expired, ${restored} files restored and compared, ${alive} bytes alive, ${onDisk} on the disk`,
      );
      const failed = wrong.map((line) => `case 0: ${line}`);
      return { injected: dates, passed: failed.length === 0 ? dates : 0, failed, whole };
    },
  },
];
