import type { Clock } from '@aliquot/shared/ports';
import type { CourtesySettings } from '@aliquot/shared/settings/courtesy';
import { Courtesy } from './courtesy.ts';
import { systemBusyPort } from './processes.ts';

const noLimits = { timeWindows: [], pauseWhile: [] };

/** Courtesy on the real system. Without settings nothing is held back. */
export function systemCourtesy(settings: CourtesySettings | undefined, clock: Clock): Courtesy {
  return new Courtesy({
    settings: settings ?? noLimits,
    clock,
    port: systemBusyPort(),
    cpuMs,
    sleep,
  });
}

function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

function sleep(ms: number, signals: readonly AbortSignal[]): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer);
      for (const signal of signals) signal.removeEventListener('abort', end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    for (const signal of signals) signal.addEventListener('abort', end);
    if (signals.some(({ aborted }) => aborted)) end();
  });
}
