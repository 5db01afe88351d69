import type { Finding } from '../fsck-finding.ts';
import type { ReserveFile } from '../vault/reserve-file.ts';

/** Says that a vault's reserve is lent. One that was never made is none. Errors: `FILE_…`. */
export async function tellReserve(
  reserve: ReserveFile | undefined,
  tell: (finding: Finding) => void,
): Promise<void> {
  const held = await reserve?.held();
  if (reserve === undefined || held === undefined || held >= reserve.bytes) return;
  tell({
    code: 'reserve-lent',
    severity: 'info',
    what: 'the reserve is lent to the disk, which was full: agents are refused until it is whole',
    where: reserve.path,
    remedy: 'free some space, or let collection do it; then it is taken again by itself',
  });
}
