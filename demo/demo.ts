import { rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { foldWords } from '@aliquot/shared/cli/fold';
import { instruments } from './instruments.ts';
import { DemoLab, type LabPc, type PcStatus } from './lab.ts';
import { differences, pictureOf } from './picture.ts';
import { mustRun } from './programs.ts';
import { INTERRUPTED, onStage } from './stage.ts';

/**
 * `npm run demo`: real processes on this machine. Instruments write, results become safe, the
 * network goes away and comes back, everything is restored elsewhere and compared. Ends with 0 only
 * when not a byte differs.
 */

const NEXT = `
What to try next:

  npm run dev               the same collector and PCs, left running, with the
                            commands to look at them and to get files back
  bin/aliquot --help        what central IT does; bin/aliquot-agent --help: what
                            the lab PC does; each command has its own --help
  README.md                 "A first real set-up": your own folder, your own kit
  docs/architecture.md      the life of one result, and the way to every page
`;

const started = performance.now();
/** How often we look; nothing depends on it. */
const LOOK_MS = 1_000;
/** When something hangs, say so instead of waiting for ever. */
const PATIENCE_MS = 60_000;

function say(text: string): void {
  const seconds = (performance.now() - started) / 1000;
  const time = `${seconds.toFixed(1).padStart(6)} s  `;
  process.stdout.write(
    `${foldWords(text, process.stdout.columns ?? 80, ' '.repeat(time.length), time)}\n`,
  );
}

const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;

function describe(pc: LabPc, status: PcStatus): string {
  const { safe, total, leftSource } = tallyOf(pc, status);
  const parts = [`${String(safe).padStart(4)} of ${total} safe`];
  if (leftSource > 0) parts.push(`${leftSource} of them only at the collector`);
  if (status.settling > 0) parts.push(`${status.settling} being written`);
  if (status.queued > 0) parts.push(`${status.queued} queued`);
  if (status.problems > 0) parts.push(`${status.problems} problems`);
  return `${pc.name.padEnd(7)} ${status.connection.padEnd(10)} ${parts.join(', ')}`;
}

const most = new Map<string, number>();

/**
 * The results that a PC has had, which never get fewer: status counts what is at the source, but a
 * result that was deleted there after it was captured is kept anyway, and safe as soon as nothing
 * is queued any more.
 */
function tallyOf(pc: LabPc, status: PcStatus): { safe: number; total: number; leftSource: number } {
  const here = status.total - status.settling;
  const total = Math.max(here, most.get(pc.name) ?? 0);
  most.set(pc.name, total);
  const leftSource = status.queued === 0 ? total - here : 0;
  return { safe: status.safe + leftSource, total, leftSource };
}

/** Shows every PC's status, when it changes, until `done` holds for all of them. */
async function watch(
  lab: DemoLab,
  pcs: readonly LabPc[],
  done: (status: PcStatus) => boolean,
): Promise<void> {
  const shown = new Map<string, string>();
  const deadline = performance.now() + PATIENCE_MS;
  for (;;) {
    let open = false;
    for (const pc of pcs) {
      const status = await lab.status(pc);
      const line = describe(pc, status);
      if (shown.get(pc.name) !== line) say(line);
      shown.set(pc.name, line);
      open ||= !done(status);
    }
    if (!open) return;
    if (performance.now() > deadline)
      throw new Error(`no end after ${PATIENCE_MS / 1000} s: ${[...shown.values()].join('; ')}`);
    await delay(LOOK_MS);
  }
}

/**
 * All instruments write one run each, spread over the PCs. Resolves with the time at which the last
 * one had finished.
 */
async function measure(pcs: readonly LabPc[], seed: number): Promise<number> {
  await Promise.all(
    instruments.map((instrument, index) => {
      const pc = pcs[index % pcs.length];
      if (!pc) throw new Error('no PC');
      const folder = join(pc.source, instrument.name);
      return instrument.run({ folder, seed: seed + index, pause: () => delay(200) });
    }),
  );
  return Date.now();
}

async function compare(what: string, expected: string, actual: string): Promise<number> {
  const [before, after] = [await pictureOf(expected), await pictureOf(actual)];
  const found = differences(before, after);
  for (const line of found.slice(0, 10)) say(`DIFFERENT ${line}`);
  say(`${what}: ${before.size} files and folders, ${found.length} differences`);
  return found.length;
}

async function play(lab: DemoLab): Promise<number> {
  const pcs = [await lab.addPc('hplc-1'), await lab.addPc('seq-1')];
  const [first] = pcs;
  if (!first) throw new Error('no PC');
  say(`A COLLECTOR AND ${pcs.length} LAB PCS ARE RUNNING. Their instruments start:`);
  for (const [index, { name, habit }] of instruments.entries())
    say(`${pcs[index % pcs.length]?.name.padEnd(7)} ${name}: ${habit}`);

  let finished = await measure(pcs, 1);
  const quiet = (status: PcStatus): boolean =>
    status.lastScanMs > finished && status.settling === 0 && status.total > 0;
  await watch(lab, pcs, (status) => quiet(status) && status.queued === 0);

  await lab.cable.pull();
  say('THE NETWORK IS GONE. The instruments write on, and the agents queue:');
  finished = await measure(pcs, 100);
  await watch(
    lab,
    pcs,
    (status) => quiet(status) && status.queued > 0 && status.connection !== 'ready',
  );
  const doomed = join(first.source, 'chromatograph', 'run-100.dat');
  const { size } = await stat(doomed);
  const captured = new Date().toISOString();
  const keep = join(lab.folder, 'as-it-was');
  const kept = await pictureOf(join(first.source, 'chromatograph'));
  await rm(doomed);
  say(
    `somebody deletes a result that was captured and not yet sent: ${doomed.slice(lab.folder.length + 1)} (${megabytes(size)})`,
  );

  finished = Date.now();
  await lab.cable.plug();
  say('THE NETWORK IS BACK. The agents send what they kept:');
  await watch(lab, pcs, (status) => quiet(status) && status.queued === 0);

  say('EVERYTHING IS RESTORED ELSEWHERE AND COMPARED:');
  let different = 0;
  for (const pc of pcs) {
    const target = join(lab.folder, `${pc.name}-restored`);
    await lab.operator(['restore', '--kit', lab.kit, '--agent', pc.name, '--to', target]);
    different += await compare(
      `${pc.name}, restored by the operator with the kit`,
      pc.source,
      join(target, pc.source),
    );
  }
  const own = join(lab.folder, 'self-restored');
  await mustRun('aliquot-agent', ['restore', first.source, '--data', first.data, '--to', own]);
  different += await compare(
    `${first.name}, restored by its own agent`,
    first.source,
    join(own, first.source),
  );
  await lab.operator([
    'restore',
    '--kit',
    lab.kit,
    '--agent',
    first.name,
    '--path',
    doomed,
    '--at',
    captured,
    '--to',
    keep,
  ]);
  const back = (await pictureOf(join(keep, first.source, 'chromatograph'))).get('/run-100.dat');
  const saved = back !== undefined && back === kept.get('/run-100.dat');
  say(`the deleted result, as it was before: ${saved ? 'identical' : 'DIFFERENT'}`);
  if (!saved) different += 1;

  const [stats] = await lab.operator(['stats', '--json']);
  const raw = Number(stats?.['rawBytes']);
  const stored = Number(stats?.['storedBytes']);
  say(
    `IN FIGURES: raw ${megabytes(raw)} (all versions), sent ${megabytes(lab.cable.sentBytes)}, stored ${megabytes(stored)} (${(stored / raw).toFixed(3)} of raw)`,
  );
  return different;
}

async function main(folder: string): Promise<number> {
  const lab = await DemoLab.open(folder);
  const different = await play(lab);
  const failed = await lab.close();
  if (failed.length > 0) say(`not every process ended cleanly: exit codes ${failed.join(', ')}`);
  const fine = different === 0 && failed.length === 0;
  say(fine ? 'EVERYTHING CAME BACK, BYTE FOR BYTE.' : 'SOMETHING IS WRONG: see above');
  if (fine) process.stdout.write(NEXT);
  return fine ? 0 : 1;
}

let code = 1;
try {
  code = await onStage('demo', main);
  if (code === INTERRUPTED)
    process.stderr.write('demo: stopped; nothing is left running, and its folder is removed\n');
} catch (error) {
  process.stderr.write(`demo: ${error instanceof Error ? error.message : String(error)}\n`);
}
process.exit(code);
