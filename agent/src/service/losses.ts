import type { Losses } from '../queue/ledger/ledger.ts';

export interface LossList {
  /** Named as lost since a command last said so. */
  readonly lost: number;
  /** All that nobody has acknowledged. */
  readonly listed: number;
  /**
   * What a command ends with, for a person; `undefined` while nothing is gone. A version that may
   * mix two states, because an instrument went back in its file while it grew, is listed and not
   * gone.
   */
  readonly says: string | undefined;
}

/** What is listed as lost, for the end of a command. */
export async function lossesOf(losses: Pick<Losses, 'list' | 'takeUntold'>): Promise<LossList> {
  const lost = losses.takeUntold();
  let [listed, gone] = [0, 0];
  for await (const { why } of losses.list()) {
    listed += 1;
    if (why !== 'growing-torn') gone += 1;
  }
  const most = Math.max(lost, gone);
  return { lost, listed, says: most === 0 ? undefined : lostSays(most) };
}

/** One line on versions that are lost, with the way out. */
export function lostSays(lost: number): string {
  const versions =
    lost === 1
      ? '1 version is lost: neither the queue nor the collector has it whole'
      : `${lost} versions are lost: neither the queue nor the collector has them whole`;
  const remedy =
    'aliquot-agent status names each, and what is still at its source is captured by the next backup; tell central IT, then run status with --acknowledge-lost';
  return `${versions}; ${remedy}`;
}
