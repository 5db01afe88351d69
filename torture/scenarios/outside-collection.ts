import { once } from 'node:events';
import { mkdir, readdir, readFile, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TortureScenario } from '@aliquot/shared/testing/scenario';
import { reserveBytesFor } from '../../collector/src/store/vault/reserve-file.ts';
import type { CliResult } from '../../collector/testing/cli.ts';
import { sendRules } from '../../collector/testing/retention/send-rules.ts';
import { waveform } from '../../demo/instruments.ts';
import { DemoService } from '../../demo/programs.ts';
import { type InjectedWork, injectedScenario } from '../outside/injected.ts';
import { mustBeNamed, mustComeBack } from '../outside/judge.ts';
import { copyExactly, must, type Stage } from '../outside/stage.ts';

/** The collector's program while it lets go of versions and of their bytes. */

export const DAY_MS = 86_400_000;
/** Longer than the rule keeps what was replaced, and shorter than a clock that jumped. */
const LONG_AGO = 45;
const RULE = '{keep: {within: 7d}}';
/** Ten runs: each goes on where the one before it was failed. */
const MOST_RUNS = 10;

const signal = (stage: Stage): string => join(stage.source, 'signal.bin');
const held = (stage: Stage): string => join(stage.source, 'held', 'protocol.txt');
const late = (stage: Stage): string => join(stage.source, 'late.csv');
/** Where a state of the source is kept, to be compared with what comes back. */
const stateOf = (stage: Stage, name: string): string => join(stage.folder, 'states', name);

/** One state of everything, backed up while the collector's clock is where it is. */
async function backUp(stage: Stage, name: string): Promise<void> {
  const number = Number(name);
  await mkdir(join(stage.source, 'held'), { recursive: true });
  // Chunks that two states share, and some that each has alone.
  const shared = waveform(200_000, 1);
  await writeFile(signal(stage), Buffer.concat([shared, waveform(200_000, 10 + number)]));
  await writeFile(held(stage), `protocol, revision ${name}\r\n`);
  await writeFile(join(stage.source, 'same.txt'), 'never changes');
  await stage.mustAgent(['backup', stage.source]);
  await mkdir(join(stage.folder, 'states'), { recursive: true });
  await copyExactly(stage.source, stateOf(stage, name));
}

/**
 * A vault with a past: two states that a run of retention has let go, whose grace is over; one that
 * the rule keeps, and the present one; every state of one file under a hold; and one file of which a
 * version goes today.
 */
async function withPast(stage: Stage): Promise<void> {
  const at = async (daysAgo: number, act: () => Promise<void>): Promise<void> => {
    await stage.serveBehind(daysAgo * DAY_MS);
    await act();
    await stage.unserve();
  };
  await stage.mustOperate(['init', '--data', stage.collectorData]);
  await at(LONG_AGO, async () => {
    await stage.mustOperate(['vault', 'add', '--kit', stage.kit]);
    await stage.mustOperate(['enroll', 'pc', '--kit', stage.kit, '--out', stage.bundle]);
    await stage.mustAgent(['enroll', stage.bundle]);
    await mkdir(stage.source);
    await writeFile(late(stage), 'first');
    await backUp(stage, '1');
    await setRule(stage);
    await backUp(stage, '2');
    const hold = ['hold', 'add', 'audit', '--reason', 'audit', '--path', '**/protocol.txt'];
    await stage.mustOperate(hold);
  });
  await at(25, () => backUp(stage, '3'));
  await at(9, async () => {
    const run = await stage.tryOperate(['retention', 'run']);
    must(run.code === 3, `half of a vault went with nobody asked: ${run.stdout}${run.stderr}`);
    await stage.mustOperate(['retention', 'approve', '1', '--kit', stage.kit]);
    await writeFile(late(stage), 'second');
    await backUp(stage, '4');
  });
  await at(3, () => backUp(stage, '5'));
  await holdReserve(stage);
}

/** The disk that a collection would hold back; with holes, so that images are small. */
async function holdReserve(stage: Stage): Promise<void> {
  const vaults = join(stage.collectorData, 'vaults');
  for (const vault of await readdir(vaults)) {
    const reserve = join(vaults, vault, 'packs', 'reserve.bin');
    await writeFile(reserve, '', { mode: 0o600 });
    await truncate(reserve, reserveBytesFor());
  }
}

/** The rule of these scenarios, as the vault's first policy. */
export async function setRule(stage: Stage): Promise<void> {
  const token = (await readFile(join(stage.collectorData, 'admin.token'), 'utf8')).trim();
  const kit = { path: stage.kit, passphrase: String(process.env['ALIQUOT_PASSPHRASE']) };
  const { status } = await sendRules({ url: stage.url, token }, kit, RULE);
  must(status === 200, `the rule was not taken: ${status}`);
}

/** What commands said, by their first words; none of a collector that did not start. */
type Said = ReadonlyMap<string, CliResult>;

/** Commands one after the other, to a collector that may fail or die at any. */
async function said(stage: Stage, commands: readonly (readonly string[])[]): Promise<Said> {
  const answers = new Map<string, CliResult>();
  for (const command of commands)
    answers.set(command.slice(0, 2).join(' '), await stage.tryOperate(command));
  return answers;
}

async function listens(server: DemoService): Promise<boolean> {
  return server.event('listening').then(
    () => true,
    () => false,
  );
}

/** The PC learns what is asked of it, and answers; nothing where the collector is gone. */
async function answer(stage: Stage, server: DemoService): Promise<void> {
  const flush = new DemoService('aliquot-agent', ['flush', '--data', stage.agentData]);
  const ended = once(flush.child, 'close');
  await Promise.race([ended, once(server.child, 'close')]);
  await flush.stop('SIGKILL');
}

/** Goes on to the end of a collection, then holds everything against what has to be there. */
async function mustEndWhole(stage: Stage, told: Said | undefined): Promise<void> {
  for (const one of told?.values() ?? []) mustBeNamed(one);
  await stage.serveBehind(0);
  let run = await stage.tryOperate(['gc', 'run', '--all']);
  for (let more = 1; run.code === 3 && more < MOST_RUNS; more += 1) {
    await stage.mustAgent(['flush']);
    run = await stage.tryOperate(['gc', 'run', '--all']);
  }
  must(run.code === 0, `collection does not end: ${run.stdout}${run.stderr}`);
  const [stats] = (await stage.mustOperate(['stats', '--json'])).lines;
  must(stats?.['deadBytes'] === 0, `dead bytes are left: ${JSON.stringify(stats)}`);
  await mustBeLeft(stage, signal(stage), 3);
  await mustBeLeft(stage, late(stage), 2);
  const revisions = await mustBeLeft(stage, held(stage), 5);
  for (const [index, version] of revisions.entries()) {
    const cat = ['cat', '--kit', stage.kit, '--agent', 'pc', '--version', version];
    const { stdout } = await stage.mustOperate(cat);
    must(stdout === `protocol, revision ${index + 1}\r\n`, `revision ${index + 1} is ${stdout}`);
  }
  const ago = (days: number): string => new Date(Date.now() - days * DAY_MS).toISOString();
  await mustComeBack(stage, stateOf(stage, '3'), ago(20));
  await mustComeBack(stage, stateOf(stage, '4'), ago(5));
  await mustComeBack(stage, stateOf(stage, '5'));
  await stage.unserve();
  await stage.mustBeSound();
  const fsck = await stage.mustOperate(['fsck', '--data', stage.collectorData, '--json']);
  const findings = fsck.lines.filter(({ event }) => event === 'finding');
  must(findings.length === 0, `fsck has findings: ${JSON.stringify(findings)}`);
}

/** The versions of a file, the oldest first. */
async function mustBeLeft(stage: Stage, path: string, count: number): Promise<string[]> {
  const versions = ['versions', '--agent', 'pc', '--path', path, '--json'];
  const { lines } = await stage.mustOperate(versions);
  must(lines.length === count, `${lines.length} versions of ${path} are left, not ${count}`);
  return lines.map(({ version }) => String(version));
}

export const collectorKeepOutside: InjectedWork<Said | undefined> = {
  name: 'outside-collector-keep',
  about:
    'serve, while a run of retention is made and undone, versions are dropped and an epoch is announced and answered, with each system call on the collector folder failed or killed there: what was answered is so after a restart, collection comes to its end, what is kept is restored, and the catalog is what a replay gives.',
  proves: ['P1', 'P2', 'P6'],
  collectorUnderTest: true,
  prepare: withPast,
  folders: (stage) => [stage.collectorData],
  async act(stage, start) {
    const server = stage.startServer(start);
    if (!(await listens(server))) return undefined;
    const told = await said(stage, [
      ['retention', 'run', '--json'],
      ['retention', 'undo', '3'],
      ['gc', 'run'],
    ]);
    await answer(stage, server);
    return told;
  },
  async judge(stage, told) {
    await stage.serveBehind(0);
    const { lines } = await stage.mustOperate(['retention', 'status', '--json']);
    const run = lines.find((line) => line['run'] === 3);
    const [ran, undone] = [told?.get('retention run'), told?.get('retention undo')];
    if (ran?.code === 0) must(run !== undefined, 'a run that was answered is not there');
    if (undone?.code === 0) must(run?.['undone'] !== null, 'what was undone is not');
    await stage.unserve();
    await mustEndWhole(stage, told);
  },
};

export const collectorRewriteOutside: InjectedWork<Said | undefined> = {
  name: 'outside-collector-rewrite',
  about:
    'serve, while it sweeps what nothing reaches any more, removes and rewrites packs, with each system call on the collector folder failed or killed there: the next run ends the work, what is kept is restored, no dead byte is left, and the catalog is what a replay gives.',
  proves: ['P1', 'P2', 'P6'],
  collectorUnderTest: true,
  async prepare(stage) {
    await withPast(stage);
    await stage.serveBehind(0);
    const first = await stage.tryOperate(['gc', 'run']);
    must(first.code === 3, `a collection waited for nobody: ${first.stdout}${first.stderr}`);
    await stage.mustAgent(['flush']);
    await stage.unserve();
  },
  folders: (stage) => [stage.collectorData],
  async act(stage, start) {
    const server = stage.startServer(start);
    if (!(await listens(server))) return undefined;
    return said(stage, [['gc', 'run', '--all']]);
  },
  judge: mustEndWhole,
};

export const outsideCollectionScenarios: readonly TortureScenario[] = [
  injectedScenario(collectorKeepOutside),
  injectedScenario(collectorRewriteOutside),
];
