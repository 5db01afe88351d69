import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Lab } from './lab.ts';

/** `npm run dev`: a collector and two lab PCs, left running until Ctrl-C, with all that is needed to try the commands. */

const folder = await mkdtemp(join(tmpdir(), 'aliquot-dev-'));
const lab = await Lab.open(folder);
const pcs = [await lab.addPc('hplc-1'), await lab.addPc('seq-1')];
const lines = [
  '',
  'A collector and two lab PCs are running. In another terminal, at the project’s root:',
  '',
  ...Object.entries(lab.environment).map(([name, value]) => `  export ${name}=${value}`),
  `  export ALIQUOT_KIT=${lab.kit}`,
  '',
  ...pcs.map((pc) => `  cp some-result ${pc.source}/ ; bin/aliquot-agent status --data ${pc.data}`),
  '  bin/aliquot agents ; bin/aliquot ls',
  '',
  'Ctrl-C stops them and removes the folder.',
  '',
];
process.stdout.write(lines.join('\n'));
await new Promise<void>((resolve) => {
  process.once('SIGINT', () => resolve());
  process.once('SIGTERM', () => resolve());
});
await lab.close();
await rm(folder, { recursive: true, force: true });
