import { DemoLab } from './lab.ts';
import { onStage } from './stage.ts';

/**
 * `npm run dev`: a collector and two lab PCs, left running until Ctrl-C, with all that is needed to
 * try the commands.
 */

async function show(folder: string, curtain: Promise<void>): Promise<number> {
  const lab = await DemoLab.open(folder);
  const pcs = [await lab.addPc('hplc-1'), await lab.addPc('seq-1')];
  const lines = [
    '',
    'A collector and two lab PCs are running. In another terminal, at the project’s root:',
    '',
    ...Object.entries(lab.environment).map(([name, value]) => `  export ${name}=${value}`),
    `  export ALIQUOT_KIT=${lab.kit}`,
    '',
    ...pcs.flatMap((pc) => [
      `  cp some-result ${pc.source}/`,
      `  bin/aliquot-agent status --data ${pc.data}`,
    ]),
    '  bin/aliquot agents',
    '  bin/aliquot ls',
    '  bin/aliquot restore --agent hplc-1 --to ./back',
    '',
    'Ctrl-C stops them and removes the folder.',
    '',
  ];
  process.stdout.write(lines.join('\n'));
  await curtain;
  return 0;
}

let code = 1;
try {
  await onStage('dev', show);
  code = 0;
} catch (error) {
  process.stderr.write(`dev: ${error instanceof Error ? error.message : String(error)}\n`);
}
process.exit(code);
