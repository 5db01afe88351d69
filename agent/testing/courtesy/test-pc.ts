/**
 * Courtesy with a clock, a CPU and an instrument that only tests move. Nothing outside tests
 * imports this file.
 */

import { courtesySchema } from '@aliquot/shared/settings/courtesy';
import { Courtesy } from '../../src/courtesy/courtesy.ts';
import type { BusyPort } from '../../src/courtesy/processes.ts';

/** A PC on which time passes by sleeping only. */
export class TestPc {
  nowMs = new Date(2026, 5, 1, 12).getTime();
  usedCpuMs = 0;
  readonly running = new Set<string>();
  readonly files = new Set<string>();
  failing: Error | undefined;
  looks = 0;
  /** Called at each sleep, after the time has passed. */
  onSleep: (sleptMs: number) => void = () => undefined;

  /** How long a sleep really takes: no time. */
  sleeping: () => Promise<void> = () => Promise.resolve();

  readonly port: BusyPort = {
    running: async (names) => {
      this.looks += 1;
      if (this.failing !== undefined) throw this.failing;
      return names.find((name) => this.running.has(name));
    },
    exists: async (path) => this.files.has(path),
  };

  courtesy(settings: object): Courtesy {
    return new Courtesy({
      settings: courtesySchema('posix').parse(settings),
      clock: { nowMs: () => this.nowMs },
      port: this.port,
      cpuMs: () => this.usedCpuMs,
      sleep: async (ms, signals) => {
        const aborted = new Promise<void>((resolve) => {
          for (const signal of signals)
            signal.addEventListener('abort', () => resolve(), { once: true });
        });
        await Promise.race([this.sleeping(), aborted]);
        if (signals.some(({ aborted }) => aborted)) return;
        this.nowMs += ms;
        this.onSleep(ms);
      },
    });
  }
}
