/**
 * Resident memory of the agent's service at rest: `npm run build && node
 * --conditions=aliquot-source bench/idle-agent.ts [--files 100000] [--rest 60]`. A built collector,
 * a built agent that knows so many files (all backed up), connected, its worker ended. Linux only.
 */
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { prepare } from './data/prepare.ts';
import { run } from './measure/command.ts';
import { workFolder } from './measure/folder.ts';
import { memoryOf } from './measure/procfs.ts';
import { dataFolder, repositoryFolder } from './options.ts';
import { ours } from './systems/ours.ts';

const { values } = parseArgs({
  options: {
    files: { type: 'string', default: '100000' },
    rest: { type: 'string', default: '60' },
    data: { type: 'string', default: dataFolder() },
    work: { type: 'string', default: repositoryFolder() },
    'normal-priority': { type: 'boolean', default: false },
  },
});
const STEP_MS = 5000;
const mebibytes = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
const threadsOf = (pid: number): string =>
  /^Threads:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? '?';

const set = prepare(values.data, 'small', Number(values.files) / 100_000, (line) =>
  console.error(line),
);
const folder = workFolder(values.work);
const repository = await ours.open(
  folder.path,
  values['normal-priority'] ? { agentPriority: 'normal' } : {},
);
try {
  console.error(`backing up ${set.files.toLocaleString('en')} files`);
  await run(repository.backup(set.folder, 'pc-1'));
  const service = await repository.startService(set.folder);
  console.log(
    `the service knows ${set.files.toLocaleString('en')} files and has just looked at all of them`,
  );
  for (let restedMs = 0; restedMs <= Number(values.rest) * 1000; restedMs += STEP_MS) {
    const threads = threadsOf(service.pid);
    console.log(
      `after ${restedMs / 1000} s of rest: ${mebibytes(memoryOf(service.pid, 'VmRSS'))} resident, ${threads} threads`,
    );
    await delay(STEP_MS);
  }
  console.log(`at most since its start: ${mebibytes(memoryOf(service.pid, 'VmHWM'))}`);
  await service.stop();
} finally {
  await repository.close();
  folder.remove();
}
