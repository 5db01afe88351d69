/**
 * The agent's peak memory on one very large file, and on very many small ones: `npm run build &&
 * node --conditions=aliquot-source bench/huge.ts [--gigabytes 20] [--solid 1] [--files 1000000]
 * [--only file|files]`.
 *
 * The large file is noisy 16-bit data from end to end, so that every chunk is new and has its
 * reference, as in real life. `--solid 0.25` writes a quarter of it and leaves holes for the rest
 * (fewer references: an easier case), for a disk without room: the file, the queue and the
 * collector together take up to two and a half times its written part. Linux only.
 */
import {
  closeSync,
  existsSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  statfsSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { SEED } from './data/sets.ts';
import { textFile } from './data/text.ts';
import { waveformBytes } from './data/waveform.ts';
import { measure } from './measure/command.ts';
import { bytesUnder } from './measure/disk.ts';
import { workFolder } from './measure/folder.ts';
import { dataFolder, repositoryFolder } from './options.ts';
import { ours } from './systems/ours.ts';

const { values } = parseArgs({
  options: {
    gigabytes: { type: 'string', default: '20' },
    solid: { type: 'string', default: '1' },
    files: { type: 'string', default: '1000000' },
    only: { type: 'string' },
    data: { type: 'string', default: dataFolder() },
    work: { type: 'string', default: repositoryFolder() },
    'normal-priority': { type: 'boolean', default: false },
  },
});
const BLOCK = 64 << 20;
const EACH_FOLDER = 1000;
const mebibytes = (bytes: number): string => `${Math.round(bytes / 2 ** 20)} MiB`;

function needRoom(folder: string, bytes: number): void {
  mkdirSync(folder, { recursive: true });
  const { bavail, bsize } = statfsSync(folder);
  if (bavail * bsize > bytes) return;
  throw new Error(
    `${folder} has ${(bavail * bsize) / 1e9} GB free and this needs ${bytes / 1e9}; choose a smaller --gigabytes or --solid, or another --data`,
  );
}

/** One file of noisy samples in blocks, `solid` of them written, the others holes. */
function makeFile(): string {
  const bytes = Math.round(Number(values.gigabytes) * 1e9);
  const solid = Number(values.solid);
  const folder = join(values.data, `huge-${values.gigabytes}-${values.solid}`);
  const path = join(folder, 'acquisition.dat');
  if (existsSync(`${folder}.done`)) return folder;
  needRoom(values.data, bytes * solid * 2.5);
  mkdirSync(folder, { recursive: true });
  const file = openSync(path, 'w');
  try {
    ftruncateSync(file, bytes);
    for (let at = 0, block = 0; at < bytes; at += BLOCK, block += 1) {
      if (Math.floor((block + 1) * solid) === Math.floor(block * solid)) continue;
      writeSync(
        file,
        waveformBytes(`huge ${block}`, SEED, Math.min(BLOCK, bytes - at), 8),
        0,
        Math.min(BLOCK, bytes - at),
        at,
      );
      if (process.stderr.isTTY)
        process.stderr.write(`\rwriting ${(at / 1e9).toFixed(1)} of ${values.gigabytes} GB`);
    }
  } finally {
    closeSync(file);
  }
  writeFileSync(`${folder}.done`, '');
  return folder;
}

/** Text files of 100 to 1,000 bytes, a thousand a folder, all different. */
function makeFiles(): string {
  const count = Number(values.files);
  const folder = join(values.data, `many-${count}`);
  if (existsSync(`${folder}.done`)) return folder;
  needRoom(values.data, count * 6000);
  for (let at = 0; at < count; at += 1) {
    const below = join(folder, `plate-${String(Math.floor(at / EACH_FOLDER)).padStart(5, '0')}`);
    if (at % EACH_FOLDER === 0) mkdirSync(below, { recursive: true });
    writeFileSync(
      join(below, `result-${String(at).padStart(7, '0')}.csv`),
      textFile('csv', `many ${at}`, SEED, 100 + (at % 900)),
    );
    if (process.stderr.isTTY && at % 10_000 === 0)
      process.stderr.write(`\rwriting ${at} of ${count} files`);
  }
  writeFileSync(`${folder}.done`, '');
  return folder;
}

async function backUp(what: string, source: string): Promise<void> {
  const folder = workFolder(values.work);
  const repository = await ours.open(
    folder.path,
    values['normal-priority'] ? { agentPriority: 'normal' } : {},
  );
  try {
    for (const turn of ['first backup', 'nothing changed']) {
      const usage = await measure(repository.backup(source, 'pc-1'), {
        servers: repository.servers,
      });
      const { wallSeconds, clientPeakBytes, serverPeakBytes, clientCpuSeconds, serverCpuSeconds } =
        usage;
      console.log(
        `${what}, ${turn}: agent at most ${mebibytes(clientPeakBytes)}, collector at most ${mebibytes(serverPeakBytes)}, ${wallSeconds.toFixed(1)} s, ` +
          `${(clientCpuSeconds + serverCpuSeconds).toFixed(1)} s of processor; ${usage.output.trim().split('\n').at(-1)}`,
      );
    }
    console.log(`${what}: ${((await repository.storedBytes()) / 1e9).toFixed(2)} GB stored`);
  } finally {
    await repository.close();
    folder.remove();
  }
}

if (values.only !== 'files') {
  const source = makeFile();
  const { size, blocks } = statSync(join(source, 'acquisition.dat'));
  await backUp(
    `one file of ${(size / 1e9).toFixed(1)} GB (${((blocks * 512) / 1e9).toFixed(1)} GB written)`,
    source,
  );
}
if (values.only !== 'file') {
  const source = makeFiles();
  await backUp(
    `${Number(values.files).toLocaleString('en')} files, ${((await bytesUnder(source)) / 1e9).toFixed(2)} GB`,
    source,
  );
}
