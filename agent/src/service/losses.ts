import type { Losses } from '../queue/ledger/ledger.ts';

export interface LossList {
  readonly lost: number;
  /** What the command ends with, for a person. */
  readonly says: string;
}

/** Versions that are listed as lost, until a person has seen them. */
export async function listedLosses(losses: Pick<Losses, 'list'>): Promise<number> {
  let listed = 0;
  for await (const _ of losses.list()) listed += 1;
  return listed;
}

/**
 * Versions that were named as lost since a command last said so; `undefined` when there are none.
 */
export function untoldLosses(losses: Pick<Losses, 'takeUntold'>): LossList | undefined {
  const lost = losses.takeUntold();
  if (lost === 0) return undefined;
  const versions =
    lost === 1
      ? '1 version that was captured earlier is lost'
      : `${lost} versions that were captured earlier are lost`;
  const remedy =
    'aliquot-agent status names each, and what is still at its source is captured by the next backup';
  return { lost, says: `${versions}, because nothing holds its bytes any more; ${remedy}` };
}
