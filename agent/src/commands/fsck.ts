import { resolve } from 'node:path';
import type { ChainId } from '@aliquot/proto';
import { PartialError } from '@aliquot/shared/cli/errors';
import type { Output } from '@aliquot/shared/cli/output';
import { nodeDisk } from '@aliquot/shared/derived/node-level';
import { checkDataFolder, openDataFolder } from '@aliquot/shared/folder/data-folder';
import { systemClock, systemRandom } from '@aliquot/shared/ports';
import { fsckQueue } from '../queue/log/fsck.ts';
import { openQueue } from '../queue/open.ts';
import { lostSays } from '../service/losses.ts';
import { AgentError } from '../socket/errors.ts';
import { fsckIdentity } from '../uplink/fsck.ts';
import { presenter } from './present.ts';

const CHAIN_ID_BYTES = 16;

/**
 * `fsck`: proves the queue and the identity, beside a running service too; with `repair`, which
 * claims the folder, mends what can be mended. One `finding` for each thing and one `summary`.
 * Errors: `AGENT_FSCK_FOUND` while something is wrong; `PartialError` for what is sound and has
 * lost versions that nobody has acknowledged.
 */
export async function fsck(dataOption: string, repair: boolean, output: Output): Promise<void> {
  const dataDir = resolve(dataOption);
  await checkDataFolder(nodeDisk, dataDir, 'aliquot-agent');
  const folder = repair ? await openDataFolder(nodeDisk, dataDir, 'aliquot-agent') : undefined;
  const { emit } = presenter(output);
  let wrong = 0;
  let repaired = 0;
  let lost = 0;
  try {
    const options = {
      ...{ port: nodeDisk, dataDir, random: systemRandom, repair },
      nameUnreadable: () => nameUnreadable(dataDir),
    };
    for (const findings of [fsckIdentity(nodeDisk, dataDir, repair), fsckQueue(options)]) {
      for await (const finding of findings) {
        if (finding.repaired) repaired += 1;
        else if (finding.severity === 'error') wrong += 1;
        else if (finding.code === 'FSCK_VERSION_LOST') lost += 1;
        await emit({ event: 'finding', ...finding });
      }
    }
  } finally {
    await folder?.release();
  }
  await emit({ event: 'summary', wrong, repaired, lost, ok: wrong === 0 });
  if (wrong === 0 && lost > 0) throw new PartialError('PARTIAL', lostSays(lost));
  if (wrong === 0) return;
  const hint = repair
    ? 'see each one’s remedy'
    : `stop the service and run: aliquot-agent fsck --repair --data ${dataDir}`;
  throw new AgentError(
    'AGENT_FSCK_FOUND',
    `${wrong} ${wrong === 1 ? 'thing is' : 'things are'} wrong in ${dataDir}; ${hint}`,
  );
}

/** Names what is unreadable of a queue that this command has claimed. */
async function nameUnreadable(dataDir: string): Promise<void> {
  const chainId = new Uint8Array(CHAIN_ID_BYTES) as ChainId; // nothing is signed
  const options = { port: nodeDisk, dataDir, clock: systemClock, random: systemRandom, chainId };
  const queue = await openQueue(options);
  try {
    await queue.outbox.proveAll();
  } finally {
    await queue.close();
  }
}
