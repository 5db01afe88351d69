import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { nodeDisk } from '@aliquot/shared/derived/node-level';
import { createDataFolder } from '@aliquot/shared/folder/data-folder';
import { systemClock, systemRandom } from '@aliquot/shared/ports';
import { openRealAgent } from '../../agent/src/commands/open.ts';
import { enrol } from '../../agent/src/identity/enrol.ts';

/** What a process of simulated PCs is told at its start, as JSON in its first argument. */
export interface DeskOrder {
  /** The bundle of their group. */
  readonly bundle: string;
  /** Where each gets its data folder. */
  readonly folder: string;
  readonly names: readonly string[];
}

/**
 * One process of PCs that watch nothing: each enrols into a folder of its own, and keeps its
 * session and what the desk says of it, all by the agent's own code. What is simulated is that each
 * has a process.
 */
const { bundle, folder, names } = JSON.parse(process.argv[2] ?? '') as DeskOrder;
const text = await readFile(bundle, 'utf8');
for (const name of names) {
  const dataDir = join(folder, name);
  const data = await createDataFolder(nodeDisk, dataDir, 'aliquot-agent');
  const parts = { port: nodeDisk, clock: systemClock, random: systemRandom };
  await enrol({ bundle: text, dataDir, name: { asked: name, host: name }, ...parts });
  await data.release();
  const { uplink } = await openRealAgent(dataDir, undefined);
  uplink.start();
}
process.send?.('enrolled');
process.once('disconnect', () => process.exit(0));
