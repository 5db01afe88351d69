import { chmod, copyFile, mkdir, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Vendor, writeRelease } from '@aliquot/shared/testing/release/vendor';
import {
  DemoService,
  type Finished,
  type JsonLine,
  type ProgramName,
  run,
} from '../../demo/programs.ts';
import type { AgentPlace, World } from '../world.ts';

/** A line of JSON that a command printed, with the words of that command. */
export interface Printed {
  readonly command: string;
  readonly line: JsonLine;
}

/**
 * Runs every command that has `--json` in a world where there is something to tell, problems
 * included, and gives all that they printed. What is told only after rare harm (a rollback, a fork,
 * damage) is not among it.
 */
export async function everyCommand(world: World): Promise<readonly Printed[]> {
  const printed: Printed[] = [];
  const keep = (command: string, { lines }: Finished): void =>
    void printed.push(...lines.map((line) => ({ command, line })));
  const central = async (command: string, args: readonly string[] = []): Promise<Finished> => {
    const finished = await world.tryAliquot([...command.split(' '), ...args, '--json']);
    keep(`aliquot ${command}`, finished);
    return finished;
  };
  const at = async (
    name: ProgramName,
    command: string,
    args: readonly string[],
  ): Promise<Finished> => {
    const finished = await run(name, [...command.split(' '), ...args, '--json']);
    keep(`${name} ${command}`, finished);
    return finished;
  };
  /** A command of central IT that needs no collector. */
  const here = async (command: string, args: readonly string[]): Promise<void> => {
    keep(
      `aliquot ${command}`,
      await run('aliquot', [...command.split(' '), ...args, '--json'], world.environment()),
    );
  };
  const pc = (command: string, agent: AgentPlace, args: readonly string[] = []) =>
    at('aliquot-agent', command, [...args, '--data', agent.data]);
  const kit = ['--kit', world.kit];
  const inside = (name: string): string => join(world.folder, name);

  await central('kit verify', kit);
  await copyFile(world.kit, inside('other.kit'));
  await writeFile(inside('passphrase'), 'lantern gravel sonata 48');
  await central('kit passphrase', [
    '--kit',
    inside('other.kit'),
    '--new-passphrase-file',
    inside('passphrase'),
  ]);
  await central('kit create', [
    '--out',
    inside('new.kit'),
    '--passphrase-file',
    inside('passphrase'),
  ]);
  keep('aliquot init', await run('aliquot', ['init', '--data', inside('second'), '--json']));
  await central('vault add', kit);
  await central('enroll', ['pc', ...kit, '--out', inside('pc.bundle')]);
  await central('enroll', [
    '--list',
    await world.write('pcs.txt', 'pc-of-list\n'),
    ...kit,
    '--out-dir',
    inside('bundles'),
  ]);
  const agent: AgentPlace = { name: 'pc', data: inside('agent-pc'), bundle: inside('pc.bundle') };
  await pc('enroll', agent, [agent.bundle]);
  await central('enroll', [
    '--group',
    'hall',
    '--uses',
    '3',
    '--names',
    'hall-*',
    ...kit,
    '--out',
    inside('hall.bundle'),
  ]);
  await central('enroll', ['--end-group', 'hall']);
  await central('enroll', [
    '--group',
    'asked',
    '--uses',
    '1',
    '--approve',
    ...kit,
    '--out',
    inside('asked.bundle'),
  ]);
  await pc(
    'enroll',
    { name: 'asked', data: inside('agent-asked'), bundle: inside('asked.bundle') },
    [inside('asked.bundle'), '--name', 'asked'],
  );
  await central('agents approve', ['asked', ...kit]);

  const tree = await world.place('data');
  await world.write('data/run-014.csv', 'one\n');
  await world.write('data/run.D/acq.ms', 'spectra');
  await world.write('data/scratch.tmp', 'x');
  await symlink('run-014.csv', join(tree, 'link'));
  await pc('backup', agent, [tree, '--dry-run', '--exclude', '*.tmp']);
  await pc('backup', agent, [tree, '--offline', '--exclude', '*.tmp']);
  await pc('flush', agent);
  await world.write('data/run-014.csv', 'one, two\n');
  await mkdir(join(tree, 'closed'));
  await writeFile(join(tree, 'closed', 'secret.csv'), 'x');
  await chmod(join(tree, 'closed', 'secret.csv'), 0o000);
  await pc('backup', agent, [tree, '--exclude', '*.tmp']);
  await rm(join(tree, 'link'));
  await pc('backup', agent, [tree, join(tree, 'nothing'), '--exclude', '*.tmp']);
  await writeFile(
    join(agent.data, 'agent.yaml'),
    `scanIntervalSeconds: 1\nsources: [{path: ${JSON.stringify(tree)}, quietPeriodSeconds: 0, exclude: ["*.tmp"]}]\n`,
  );
  await pc('config check', agent);
  const service = new DemoService('aliquot-agent', ['run', '--data', agent.data]);
  try {
    printed.push({ command: 'aliquot-agent run', line: await service.event('running') });
    await pc('status', agent);
    await pc('status', agent, [join(tree, 'run-014.csv'), tree, '/nothing/here']);
    await pc('status', agent, [join(tree, 'run.D')]);
    await pc('versions', agent, [join(tree, 'run-014.csv'), join(tree, 'run.D')]);
    await pc(
      'restore',
      agent,
      ['run-014.csv', 'run.D', 'link'].map((name) => join(tree, name)),
    );
    const key = inside('maria.key');
    await here('operator add', ['maria', '--kit', world.kit, '--out', key]);
    await here('operator show', ['--by', key]);
    const policy = await world.write(
      'policy.yaml',
      'agents: {groups: {first: {names: [pc]}}, pcs: {pc: {workers: 2}, asked: {workers: 2}}}\n',
    );
    await here('policy template', ['raw']);
    await here('policy check', [policy]);
    await central('policy diff', [policy, '--by', key]);
    await central('policy set', [policy, '--by', key, '--canary', 'first']);
    await central('policy get', ['--by', key]);
    await central('policy get', ['--by', key, '--agent', 'pc']);
    await central('policy promote');
    await central('hold add', ['audit', '--reason', 'audit', '--owner', 'QA', '--path', '/**']);
    await central('hold show', ['audit']);
    await central('hold release', ['audit', '--reason', 'over', ...kit]);
    await central('hold list', ['--all']);
    await central('agents diagnose', [agent.name, '--by', key, '--out', inside('desk.diagnosis')]);
  } finally {
    await service.stop();
  }
  await pc('settings', agent);
  await pc('queue export', agent, [inside('pc.queue')]);
  await central('queue import', [inside('pc.queue'), '--out', inside('pc.receipts')]);
  await pc('queue import', agent, [inside('pc.receipts')]);
  await pc('fsck', agent);
  await pc('diagnose', agent, ['--out', join(world.folder, 'pc.diagnosis')]);

  await central('agents');
  await central('agents', ['--problems']);
  await central('ls', ['--agent', 'pc']);
  await central('versions', ['--agent', 'pc', '--path', join(tree, 'run-014.csv')]);
  const result = join(tree, 'run.D');
  await central('ls', ['--agent', 'pc', '--results']);
  await central('versions', ['--agent', 'pc', '--path', result]);
  const whole = [...kit, '--agent', 'pc', '--result', result];
  await central('restore', [...whole, '--to', inside('whole')]);
  await central('find', ['*']);
  await central('diff', ['--agent', 'pc', '--from', '2020-01-01', '--to', 'latest']);
  await central('restore', [...kit, '--agent', 'pc', '--to', inside('back')]);
  await central('restore', [
    ...kit,
    '--agent',
    'pc',
    '--to',
    join(inside('back'), tree, 'run-014.csv'),
  ]);
  await central('check', kit);
  await central('stats');
  await central('log status');
  await central('log head');
  await central('fork list');
  const nowMs = Date.now();
  const small = {
    version: '0.2.0',
    platform: 'linux-x64',
    node: Buffer.from('node'),
    files: { 'aliquot-agent*': '' },
  } as const;
  writeRelease(inside('release'), new Vendor(nowMs).release(small, nowMs));
  await central('release add', [inside('release')]);
  await central('release list');
  await central('release remove', ['0.2.0']);
  await central('collector address show');
  await central('collector address set', [world.url, ...kit, '--out', inside('lab.addresses')]);
  await central('collector address show');
  await pc('address set', agent, [inside('lab.addresses')]);
  await pc('address show', agent);
  await central('agent acknowledge', ['pc']);
  await central('enroll', ['pc-b', '--replaces', 'pc', ...kit, '--out', inside('pc-b.bundle')]);
  const successor: AgentPlace = {
    name: 'pc-b',
    data: inside('agent-pc-b'),
    bundle: inside('pc-b.bundle'),
  };
  await pc('enroll', successor, [successor.bundle]);
  await pc('backup', successor, [tree, '--exclude', '*.tmp']);
  await central('agent gone', ['pc-b', '--path', '/**']);
  await central('agent revoke', ['pc-b', ...kit]);
  await central('agents');
  await world.unserve();
  await at('aliquot', 'fsck', ['--data', world.collectorData]);
  return printed;
}
