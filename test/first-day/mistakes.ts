import { chmod, copyFile, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { enrolling } from './enrolling.ts';
import { firstBackup } from './first-backup.ts';
import { givingBack } from './giving-back.ts';
import { installing } from './installing.ts';
import { type FirstDayMistake, type MistakeLab, within } from './mistake.ts';
import { reaching } from './reaching.ts';
import { theKit } from './the-kit.ts';

/** What goes wrong on the first day, in the order in which a day brings it. */
export const mistakes: readonly FirstDayMistake[] = [
  ...installing,
  ...reaching,
  ...theKit,
  ...enrolling,
  ...firstBackup,
  ...givingBack,
];

/** Files that the mistakes need. */
export async function prepare(
  lab: MistakeLab,
  openssl: (args: readonly string[]) => Promise<void>,
): Promise<void> {
  const ec = [
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:P-256',
    '-nodes',
    '-days',
    '2',
    '-subj',
    '/CN=localhost',
  ];
  await openssl([
    'req',
    '-x509',
    ...ec,
    '-keyout',
    within(lab, 'tls.key'),
    '-out',
    within(lab, 'tls.pem'),
  ]);
  await openssl([
    'req',
    '-x509',
    ...ec,
    '-keyout',
    within(lab, 'other.key'),
    '-out',
    within(lab, 'other.pem'),
  ]);
  await mkdir(within(lab, 'closed'), { mode: 0o700 });
  await copyFile(join(lab.world.collectorData, 'admin.token'), within(lab, 'closed/admin.token'));
  await copyFile(lab.world.kit, within(lab, 'open.kit'));
  await chmod(within(lab, 'open.kit'), 0o644);
  await chmod(lab.world.folder, 0o755);
}
