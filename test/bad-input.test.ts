import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { copyFile, cp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { nodeDisk } from '@aliquot/shared/derived/node-level';
import { openDataFolder } from '@aliquot/shared/folder/data-folder';
import { openBundle } from '@aliquot/shared/keys/bundle';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { SessionTestAgent } from '../collector/testing/agent.ts';
import { socketWire } from '../collector/testing/wire.ts';
import { generator, waveform } from '../demo/instruments.ts';
import { differences, pictureOf } from '../demo/picture.ts';
import { DemoService, type Finished, type JsonLine, mustRun, run } from '../demo/programs.ts';
import { SmallDisk } from './small-disk.ts';
import { rot, storedRecords } from './stored-records.ts';
import { type AgentPlace, World } from './world.ts';

/**
 * What long work prints now and then where there is no terminal, the file at hand included; it is
 * not part of a complaint.
 */
const isProgress = (line: string): boolean => /^\w+ \d+ .*(so far|left)(: \/.*)?$/.test(line);

const complaints = (finished: Finished): string[] =>
  finished.stderr.split('\n').filter((line) => line !== '' && !isProgress(line));

/** One line on standard error that says what and the way out, and the right exit code. */
function expectRefusal(finished: Finished, exitCode: number, says: RegExp): void {
  expect({ code: finished.code, complaints: complaints(finished) }).toEqual({
    code: exitCode,
    complaints: [expect.stringMatching(says)],
  });
  expect(complaints(finished)[0]).toMatch(/^aliquot(-agent)?: .+ \[[A-Z][A-Z0-9_]+\]$/);
}

/** Some part of the file name that everything half-written carries. */
async function leftovers(folder: string): Promise<string[]> {
  if (!existsSync(folder)) return [];
  return (await readdir(folder, { recursive: true })).filter((name) => name.includes('.aq-'));
}

/** Bytes that no compressor makes smaller. */
function incompressible(bytes: number, seed: number): Buffer {
  const next = generator(seed);
  return Buffer.from(Uint32Array.from({ length: bytes >>> 2 }, next).buffer);
}

interface Status extends JsonLine {
  readonly queue: { readonly entries: number };
  readonly results: { readonly safe: number };
}

/** Looks at an agent's status until it is as expected. */
async function statusThat(agent: AgentPlace, holds: (status: Status) => boolean): Promise<Status> {
  for (;;) {
    const { lines } = await mustRun('aliquot-agent', ['status', '--data', agent.data, '--json']);
    const status = lines.find((line) => line['event'] === 'status') as Status | undefined;
    if (status && holds(status)) return status;
    await delay(300); // how often we look; nothing depends on it
  }
}

/** Changes one character in the middle of an armoured file. */
async function spoil(file: string): Promise<void> {
  const text = await readFile(file, 'utf8');
  const middle = text.length >> 1;
  await writeFile(
    file,
    text.slice(0, middle) + (text[middle] === 'A' ? 'B' : 'A') + text.slice(middle + 1),
  );
}

describe('bad input', () => {
  let world: World;
  let agent: AgentPlace;
  let tree: string;
  let targets = 0;

  beforeAll(async () => {
    world = await World.open();
    agent = await world.agent('pc');
    tree = await world.place('data');
    await world.write('data/one.txt', 'one');
    await world.write('data/two.bin', waveform(3_000_000, 2));
    await world.backup(agent, [tree]);
  });

  afterAll(() => world.close());

  const agentRun = (...args: string[]): Promise<Finished> => run('aliquot-agent', args);
  const restoreTo = (target: string, name = agent.name): Promise<Finished> =>
    world.tryAliquot(['restore', '--kit', world.kit, '--agent', name, '--to', target]);
  const newTarget = (): string => {
    targets += 1;
    return join(world.folder, `restored-${targets}`);
  };
  /** Everything that was backed up comes back. */
  const expectWhole = async (name = agent.name, source = tree): Promise<void> => {
    const target = newTarget();
    await world.aliquot(['restore', '--kit', world.kit, '--agent', name, '--to', target]);
    expect(differences(await pictureOf(source), await pictureOf(join(target, source)))).toEqual([]);
  };

  describe('bundles', () => {
    it('a used bundle answers the same to the same keys and fails with others', async () => {
      expect((await agentRun('enroll', agent.bundle, '--data', agent.data)).code).toBe(0);
      const other = await agentRun(
        'enroll',
        agent.bundle,
        '--data',
        join(world.folder, 'second-pc'),
      );
      expectRefusal(other, 1, /used already.*ask for a new one.*\[ENROL_BUNDLE_USED\]$/);
    });

    it('an expired, a damaged and a foreign bundle are refused, and so is a file that is none', async () => {
      const expired = await world.bundle('late', ['--expires', '0s']);
      expectRefusal(
        await agentRun('enroll', expired, '--data', join(world.folder, 'never')),
        1,
        /expired.*new bundle.*EXPIRED\]$/,
      );

      const damaged = await world.bundle('damaged');
      await spoil(damaged);
      expectRefusal(
        await agentRun('enroll', damaged, '--data', join(world.folder, 'never')),
        1,
        /damaged.*\[BUNDLE_CORRUPT\]$/,
      );

      const none = await world.write('none.bundle', 'see attachment\n');
      expectRefusal(
        await agentRun('enroll', none, '--data', join(world.folder, 'never')),
        1,
        /BEGIN ALIQUOT.*\[BUNDLE_NOT_A_BUNDLE\]$/,
      );

      const missing = await agentRun(
        'enroll',
        join(world.folder, 'nowhere.bundle'),
        '--data',
        join(world.folder, 'never'),
      );
      expectRefusal(missing, 2, /nowhere\.bundle/);
    });
  });

  describe('kits', () => {
    const withPassphrase = (args: readonly string[], passphrase: string): Promise<Finished> =>
      run('aliquot', args, { ...world.environment(), ALIQUOT_PASSPHRASE: passphrase });

    it('a wrong passphrase and a corrupt kit are told apart, and neither restores anything', async () => {
      const target = newTarget();
      const token = ['--token-file', join(world.collectorData, 'admin.token')];
      const restore = (kit: string) => [
        'restore',
        '--kit',
        kit,
        '--agent',
        'pc',
        '--to',
        target,
        ...token,
      ];
      expectRefusal(
        await withPassphrase(restore(world.kit), 'not the passphrase'),
        1,
        /vault lab.*\[KIT_WRONG_PASSPHRASE\]$/,
      );

      const corrupt = join(world.folder, 'corrupt.kit');
      await copyFile(world.kit, corrupt);
      await spoil(corrupt);
      expectRefusal(await world.tryAliquot(restore(corrupt)), 1, /another copy.*\[KIT_CORRUPT\]$/);
      const cut = await world.write('cut.kit', (await readFile(world.kit, 'utf8')).slice(0, 400));
      expectRefusal(
        await world.tryAliquot(['kit', 'verify', '--kit', cut]),
        1,
        /another copy.*\[KIT_CORRUPT\]$/,
      );
      expectRefusal(
        await world.tryAliquot(['kit', 'verify', '--kit', agent.bundle]),
        1,
        /\[KIT_NOT_A_KIT\]$/,
      );
      expect(existsSync(target)).toBe(false);
    });

    it('a kit is never written over another', async () => {
      const before = await readFile(world.kit, 'utf8');
      expectRefusal(
        await world.tryAliquot(['kit', 'create', '--out', world.kit, '--vault', 'other']),
        1,
        /lab\.kit.*\[COMMAND_EXISTS\]$/,
      );
      expect(await readFile(world.kit, 'utf8')).toBe(before);
    });
  });

  describe('data folders and ports', () => {
    it('a port in use is named, with the option that chooses another', async () => {
      const other = join(world.folder, 'other-collector');
      await mustRun('aliquot', ['init', '--data', other]);
      const { host } = new URL(world.url);
      expectRefusal(
        await run('aliquot', ['serve', '--data', other, '--listen', host]),
        1,
        new RegExp(`${host}.*--listen.*\\[SERVE_PORT\\]$`),
      );
    });

    it('a folder of the other kind is refused by every command', async () => {
      for (const [program, args] of [
        ['aliquot', ['serve', '--data', agent.data]],
        ['aliquot', ['fsck', '--data', agent.data]],
        ['aliquot-agent', ['backup', tree, '--data', world.collectorData]],
        ['aliquot-agent', ['fsck', '--data', world.collectorData]],
        ['aliquot-agent', ['enroll', agent.bundle, '--data', world.collectorData]],
      ] as const) {
        expectRefusal(await run(program, args), 2, /data folder but says.*\[FOLDER_KIND\]$/);
      }
    });

    it('a folder of a later version, or of an earlier one, is refused and left as it is', async () => {
      const agentCopy = join(world.folder, 'agent-of-another-day');
      const collectorCopy = join(world.folder, 'collector-of-another-day');
      await cp(agent.data, agentCopy, { recursive: true });
      await cp(world.collectorData, collectorCopy, { recursive: true });
      for (const [version, says] of [
        [4, /format 4.*this release reads 3.*\[FOLDER_VERSION\]$/],
        // Before version blocks and slabs, and before packs had no order.
        [2, /made by an earlier development version; make it anew.*\[FOLDER_VERSION\]$/],
        [1, /made by an earlier development version; make it anew.*\[FOLDER_VERSION\]$/],
      ] as const) {
        for (const [program, folder, commands] of [
          ['aliquot-agent', agentCopy, [['backup', tree], ['run'], ['fsck', '--repair']]],
          ['aliquot', collectorCopy, [['serve'], ['fsck', '--repair']]],
        ] as const) {
          const format = join(folder, 'format.json');
          await writeFile(
            format,
            (await readFile(format, 'utf8')).replace(/"version":\d/, `"version":${version}`),
          );
          const before = await pictureOf(folder);
          for (const args of commands)
            expectRefusal(await run(program, [...args, '--data', folder]), 1, says);
          expect(differences(before, await pictureOf(folder))).toEqual([]);
        }
      }
    });

    it('a folder in use by a living process is refused, with the process named, on both sides', async () => {
      const second = await run('aliquot', [
        'serve',
        '--data',
        world.collectorData,
        '--listen',
        '127.0.0.1:0',
      ]);
      expectRefusal(
        second,
        1,
        /in use by a living process \(pid \d+\); stop it first \[FOLDER_IN_USE\]$/,
      );
      expectRefusal(
        await run('aliquot', ['fsck', '--repair', '--data', world.collectorData]),
        1,
        /\[FOLDER_IN_USE\]$/,
      );

      const config = await world.write(
        'agent-pc/agent.yaml',
        `sources:\n  - path: ${JSON.stringify(tree)}\n`,
      );
      const service = new DemoService('aliquot-agent', ['run', '--data', agent.data]);
      await service.event('running');
      for (const args of [['run'], ['fsck', '--repair'], ['enroll', agent.bundle]]) {
        const refused = await agentRun(...args, '--data', agent.data);
        expectRefusal(
          refused,
          1,
          new RegExp(
            `in use by a living process \\(pid ${service.child.pid}\\); stop it first \\[FOLDER_IN_USE\\]$`,
          ),
        );
      }
      expect(await service.stop()).toBe(0);
      await rm(config);
    });

    it('P6: a service that starts while another command has its folder open waits for that one', async () => {
      const config = await world.write(
        'agent-pc/agent.yaml',
        `sources:\n  - path: ${JSON.stringify(tree)}\n`,
      );
      const other = await openDataFolder(nodeDisk, agent.data, 'aliquot-agent');
      const service = new DemoService('aliquot-agent', ['run', '--data', agent.data]);
      await service.complained(/another command has .* open; waiting/);
      await other.release();
      await service.event('running');
      expect(await service.stop()).toBe(0);
      await rm(config);
    });

    it('a folder that is none of ours is refused, with the command that makes one', async () => {
      const empty = await world.place('empty');
      expectRefusal(
        await agentRun('status', '--data', empty),
        2,
        /aliquot-agent enroll.*\[FOLDER_MISSING\]$/,
      );
      expectRefusal(
        await run('aliquot', ['serve', '--data', empty]),
        2,
        /aliquot init.*\[FOLDER_MISSING\]$/,
      );
      expectRefusal(
        await run('aliquot', ['init', '--data', world.collectorData]),
        2,
        /\[FOLDER_NOT_EMPTY\]$/,
      );
      expect(await readdir(empty)).toEqual([]);
    });
  });

  describe('who is who', () => {
    it('P5: a collector of another vault at the same address gets nothing, and nothing is lost', async () => {
      const { host } = new URL(world.url);
      const foreign = join(world.folder, 'foreign');
      const kit = join(world.folder, 'foreign.kit');
      const token = ['--token-file', join(foreign, 'admin.token')];
      await mustRun('aliquot', ['init', '--data', foreign]);
      const unused = await world.bundle('unused');
      await world.unserve();
      const impostor = new DemoService('aliquot', ['serve', '--data', foreign, '--listen', host]);
      await impostor.event('listening');
      try {
        await mustRun(
          'aliquot',
          ['kit', 'create', '--out', kit, '--vault', 'lab'],
          world.environment(),
        );
        await mustRun('aliquot', ['vault', 'add', '--kit', kit, ...token], world.environment());
        await world.write('data/three.txt', 'three');
        // Queued is not safe: done in part, and the way out is named.
        const backup = await agentRun('backup', tree, '--data', agent.data, '--json');
        expectRefusal(
          backup,
          3,
          /not yet safe.*unsigned: SESSION_UNKNOWN_VAULT.*try again.* \[PARTIAL\]$/,
        );
        const target = newTarget();
        const operator = await run(
          'aliquot',
          ['restore', '--kit', world.kit, '--agent', 'pc', '--to', target, ...token],
          world.environment(),
        );
        expectRefusal(operator, 1, /does not hold the kit's vault.*\[COMMAND_VAULT\]$/);
        expectRefusal(await world.tryAliquot(['agents']), 1, /admin\.token.*\[REST_TOKEN\]$/);
        expect(existsSync(target)).toBe(false);
        expectRefusal(
          await agentRun('enroll', unused, '--data', join(world.folder, 'never')),
          1,
          /\[ENROL_UNKNOWN\]$/,
        );
      } finally {
        await impostor.stop();
        await world.serve();
      }
      await mustRun('aliquot-agent', ['flush', '--data', agent.data]);
      await expectWhole();
    });

    it('a bundle of another collector is refused by the one that answers at its address', async () => {
      // The agent's name is known to nobody: the bundle was announced to a collector that is gone.
      const before = join(world.folder, 'before-the-bundle');
      await world.unserve();
      await cp(world.collectorData, before, { recursive: true });
      await world.serve();
      const bundle = await world.bundle('announced-elsewhere');
      await world.unserve();
      await world.serve(before);
      try {
        expectRefusal(
          await agentRun('enroll', bundle, '--data', join(world.folder, 'never-announced')),
          1,
          /\[ENROL_UNKNOWN\]$/,
        );
      } finally {
        await world.unserve();
        await world.serve();
      }
      // The refusal binds the folder to nothing: a bundle that is announced may have it.
      await mustRun('aliquot-agent', [
        'enroll',
        await world.bundle('announced-here'),
        '--data',
        join(world.folder, 'never-announced'),
      ]);
    });

    it('a collector folder whose identity key was exchanged does not start, and fsck names the file', async () => {
      const swapped = join(world.folder, 'swapped');
      const other = join(world.folder, 'key-of-another');
      await mustRun('aliquot', ['init', '--data', other]);
      await cp(world.collectorData, swapped, { recursive: true });
      await copyFile(join(other, 'identity.key'), join(swapped, 'identity.key'));
      expectRefusal(
        await run('aliquot', ['serve', '--data', swapped, '--listen', '127.0.0.1:0']),
        1,
        /identity\.key.*\[STORE_FOLDER\]$/,
      );
      // With its public half exchanged too, the vault's certificate is for another key.
      await copyFile(join(other, 'collector.json'), join(swapped, 'collector.json'));
      expectRefusal(
        await run('aliquot', ['serve', '--data', swapped, '--listen', '127.0.0.1:0']),
        1,
        /certif|STORE_VAULT_MISMATCH/,
      );
      const fsck = await run('aliquot', ['fsck', '--data', swapped]);
      expectRefusal(fsck, 1, /\[COMMAND_FSCK\]$/);
    });

    it('P6: a revoked agent is refused, keeps what it captured, and says so', async () => {
      const revoked = await world.agent('revoked');
      await world.backup(revoked, [tree]);
      await world.aliquot(['agent', 'revoke', 'revoked']);
      await world.write('revoked/late.txt', 'late');
      const refused = await agentRun(
        'backup',
        join(world.folder, 'revoked'),
        '--data',
        revoked.data,
        '--json',
      );
      expectRefusal(refused, 1, /revoked.*\[UPLINK_REVOKED\]$/);
      expect(refused.lines.at(-1)).toMatchObject({ event: 'summary', failed: 0 });
      expect(Number(refused.lines.at(-1)?.['queued'])).toBeGreaterThan(0);
      expect((await agentRun('status', '--data', revoked.data)).stdout).toMatch(/revoked/);
      // What it sent before stays readable to anyone who holds the kit.
      await expectWhole('revoked');
    });
  });

  it('P6: files that cannot be read are named, the rest is protected, and the command ends with 3', async () => {
    const folder = await world.place('unreadable');
    await world.write('unreadable/good.txt', 'good');
    execFileSync('mkfifo', [join(folder, 'a pipe')]);
    // Reading at the start of a process's memory fails for everybody; where /proc is missing, the
    // name itself is.
    const unreadable = `/proc/${process.pid}/mem`;
    const text = await agentRun('backup', folder, unreadable, '--data', agent.data);
    expect(text.code).toBe(3);
    expect(complaints(text)).toEqual([
      expect.stringContaining(`${join(folder, 'a pipe')}: is a fifo`),
      expect.stringContaining(unreadable),
      expect.stringMatching(/^aliquot-agent: 2 paths could not be protected.*\[PARTIAL\]$/),
    ]);
    const json = await agentRun('backup', folder, unreadable, '--data', agent.data, '--json');
    expectRefusal(json, 3, /2 paths could not be protected/);
    expect(
      json.lines.filter((line) => line['event'] === 'problem').map((line) => line['path']),
    ).toEqual([join(folder, 'a pipe'), unreadable]);
    expect(json.lines.at(-1)).toMatchObject({ event: 'summary', files: 1, failed: 2, queued: 0 });
    const listed = await world.aliquot(['ls', '--agent', 'pc', '--path', folder, '--json']);
    expect(listed.lines.map((line) => line['path'])).toContain(join(folder, 'good.txt'));
  });

  describe('damage', () => {
    it('P2: a corrupt chunk costs its own file only: restore names it and ends with 3, fsck with 1, and its PC gives it again', async () => {
      const damagedAgent = await world.agent('rotting');
      const folder = await world.place('damage');
      await world.write('damage/sound.txt', 'sound');
      await world.write('damage/rotten.bin', waveform(200_000, 77));
      await world.backup(damagedAgent, [folder]);
      const rotten = (await storedRecords(world.collectorData))
        .filter(({ kind, length }) => kind === 'chunk' && length > 1000)
        .at(-1);
      if (!rotten) throw new Error('no chunk in the packs');
      await rot(rotten);

      const target = newTarget();
      const restored = await restoreTo(target, 'rotting');
      expect(restored.code).toBe(3);
      expect(complaints(restored)).toEqual([
        expect.stringMatching(/rotten\.bin/),
        expect.stringMatching(/^aliquot: 1 name could not be restored.*\[PARTIAL\]$/),
      ]);
      expect(await readdir(join(target, folder))).toEqual(['sound.txt']);
      expect(await leftovers(target)).toEqual([]);
      expect((await world.tryAliquot(['check', '--kit', world.kit])).code).not.toBe(0);

      await world.unserve();
      const fsck = await run('aliquot', ['fsck', '--data', world.collectorData]);
      expectRefusal(fsck, 1, /\[COMMAND_FSCK\]$/);
      expect(fsck.stdout).toContain('00000001.pack');
      await world.serve();
      // The PC still has it, and sends it again as soon as it is connected.
      const own = newTarget();
      const byAgent = await agentRun('restore', folder, '--to', own, '--data', damagedAgent.data);
      expect(byAgent.code).toBe(0);
      expect((await readdir(join(own, folder))).toSorted()).toEqual(['rotten.bin', 'sound.txt']);
      await expectWhole('rotting', folder);
      expect((await world.tryAliquot(['check', '--kit', world.kit])).code).toBe(0);
      await world.unserve();
      await rot(rotten);
      await mustRun('aliquot', ['fsck', '--data', world.collectorData]);
      await world.serve();
    });

    it('P5: a corrupt commit is named by fsck and by whoever wants to read it, and nothing is written', async () => {
      // A single file is one commit, however slow the machine is.
      const unlucky = await world.agent('unlucky');
      await world.backup(unlucky, [await world.write('unlucky/only.txt', 'only')]);
      const commit = (await storedRecords(world.collectorData))
        .filter(({ kind }) => kind === 'commit')
        .at(-1);
      if (!commit) throw new Error('no commit in the history');
      await rot(commit);
      try {
        const target = newTarget();
        const restored = await restoreTo(target, 'unlucky');
        expect({ code: restored.code, complaints: complaints(restored) }).toEqual({
          code: 3,
          complaints: [
            expect.stringMatching(/1 version in commit 1 .* agent unlucky.*\[STORE_DAMAGED\]$/),
            expect.stringMatching(/\[PARTIAL\]$/),
          ],
        });
        expect(existsSync(target) ? await readdir(target) : []).toEqual([]);
        await world.unserve();
        const fsck = await run('aliquot', ['fsck', '--data', world.collectorData]);
        expectRefusal(fsck, 1, /\[COMMAND_FSCK\]$/);
        expect(fsck.stdout).toContain('00000001.history');
      } finally {
        await rot(commit);
      }
      await world.serve();
      await world.aliquot(['fsck', '--data', world.collectorData]);
    });
  });

  it('P2: a path that would leave the target is named and not written, and the rest is restored', async () => {
    const bundle = await world.bundle('hostile');
    const hostile = new SessionTestAgent(openBundle(await readFile(bundle, 'utf8')));
    await hostile.enrol(world.url);
    const socket = new WebSocket(`${world.url.replace('http', 'ws')}/v1/agent`);
    const wire = await socketWire(socket);
    await hostile.open(wire);
    const bytes = Buffer.from('escaped');
    await hostile.backUp([
      { path: '/data/fine.txt', bytes: Buffer.from('fine') },
      { path: '/data/../../../escaped-1.txt', bytes },
      { path: '../escaped-2.txt', bytes },
    ]);
    wire.close();
    const target = join(world.folder, 'deep', 'target');
    await mkdir(target, { recursive: true });
    const restored = await restoreTo(target, 'hostile');
    expect(restored.code).toBe(3);
    expect(complaints(restored).filter((line) => /escaped-\d/.test(line))).toHaveLength(2);
    expect(await readdir(target, { recursive: true })).toEqual(['data', join('data', 'fine.txt')]);
    expect(
      (await readdir(world.folder, { recursive: true })).filter((name) =>
        name.includes('escaped-'),
      ),
    ).toEqual([]);
  });

  describe('a disk without room', () => {
    const withDisk = async (
      name: string,
      mebibytes: number,
      skip: (why: string) => void,
      use: (disk: SmallDisk) => Promise<void>,
    ) => {
      const disk = await SmallDisk.mount(join(world.folder, name), mebibytes);
      if (typeof disk === 'string') return skip(disk);
      try {
        await use(disk);
      } finally {
        await disk.unmount();
      }
    };

    it('P1 P6: at the collector: the agent keeps everything, says why, and goes on by itself when there is room', async ({
      skip,
    }) => {
      await withDisk('small-collector', 12, skip, async (disk) => {
        await world.unserve();
        await cp(world.collectorData, disk.folder, { recursive: true });
        await world.serve(disk.folder);
        const folder = await world.place('too-much');
        for (let index = 0; index < 4; index += 1)
          await world.write(`too-much/${index}.bin`, incompressible(5_000_000, 900 + index));
        const config = await world.write(
          'agent-pc/agent.yaml',
          `sources:\n  - path: ${JSON.stringify(folder)}\n    quietPeriodSeconds: 1\n`,
        );
        // A command ends, with the collector's own words, and says that nothing more is safe; the
        // service goes on trying.
        for (const command of [['backup', folder], ['flush']]) {
          const full = await agentRun(...command, '--data', agent.data, '--json');
          expectRefusal(
            full,
            3,
            /not yet safe.*collector's disk is full.*; try again later \[PARTIAL\]$/,
          );
          expect(Number(full.lines.at(-1)?.['queued'])).toBeGreaterThan(0);
        }
        const service = new DemoService('aliquot-agent', ['run', '--data', agent.data]);
        try {
          await service.event('running');
          await statusThat(agent, (status) =>
            JSON.stringify(status).includes('UPLINK_COLLECTOR_STORAGE'),
          );
          await disk.grow(100);
          const status = await statusThat(
            agent,
            ({ queue, results }) => queue.entries === 0 && results.safe >= 4,
          );
          expect(JSON.stringify(status)).not.toContain('UPLINK_COLLECTOR_STORAGE');
        } finally {
          await service.stop();
          await rm(config);
        }
        await expectWhole('pc', folder);
        await mustRun('aliquot-agent', ['fsck', '--data', agent.data]);
        await world.unserve();
        await mustRun('aliquot', ['fsck', '--data', disk.folder]);
        await rm(world.collectorData, { recursive: true });
        await cp(disk.folder, world.collectorData, { recursive: true });
        await world.serve();
      });
    });

    it('I-A1: at the agent: what was captured stays, the rest is named, and everything goes on when there is room', async ({
      skip,
    }) => {
      const bundle = await world.bundle('small-pc');
      await withDisk('small-agent', 12, skip, async (disk) => {
        await mustRun('aliquot-agent', ['enroll', bundle, '--data', disk.folder]);
        const folder = await world.place('too-much-to-queue');
        // Without the floor of free disk, at which a queue stops taking results: here the disk
        // itself ends.
        const config = `queue: { minFreeBytes: 0 }\nsources: [{ path: ${JSON.stringify(folder)} }]\n`;
        await writeFile(join(disk.folder, 'agent.yaml'), config, { mode: 0o600 });
        for (let index = 0; index < 4; index += 1)
          await world.write(
            `too-much-to-queue/${index}.bin`,
            incompressible(5_000_000, 950 + index),
          );
        const full = await agentRun('backup', folder, '--data', disk.folder, '--offline', '--json');
        // What fits is captured; the rest stays where it is, named.
        expectRefusal(full, 3, /could not be protected, each named above.*\[PARTIAL\]$/);
        const named = full.lines.filter((line) => line['event'] === 'problem');
        expect(named.length).toBeGreaterThan(0);
        for (const problem of named) expect(String(problem['message'])).toMatch(/full|space|room/);
        expect(full.lines.at(-1)).toMatchObject({ event: 'summary', failed: named.length });
        expect(Number(full.lines.at(-1)?.['queued'])).toBeGreaterThan(0);
        await disk.grow(100);
        await mustRun('aliquot-agent', ['fsck', '--data', disk.folder]);
        const summary = await mustRun('aliquot-agent', [
          'backup',
          folder,
          '--data',
          disk.folder,
          '--json',
        ]);
        expect(summary.lines.at(-1)).toMatchObject({
          event: 'summary',
          files: 4,
          failed: 0,
          queued: 0,
        });
        await expectWhole('small-pc', folder);
        await mustRun('aliquot-agent', ['fsck', '--data', disk.folder]);
      });
    });

    it('P2: at the target of a restore: what fits is whole, the rest is named, and the same command finishes later', async ({
      skip,
    }) => {
      await withDisk('small-target', 4, skip, async (disk) => {
        const full = await restoreTo(disk.folder, 'small-pc');
        expect([1, 3]).toContain(full.code);
        expect(full.stderr).toMatch(/full|space/);
        expect(await leftovers(disk.folder)).toEqual([]);
        const source = join(world.folder, 'too-much-to-queue');
        const back = existsSync(join(disk.folder, source))
          ? await pictureOf(join(disk.folder, source))
          : new Map<string, string>();
        const original = await pictureOf(source);
        for (const [path, what] of back) expect([path, original.get(path)]).toEqual([path, what]);
        await disk.grow(100);
        expect((await restoreTo(disk.folder, 'small-pc')).code).toBe(0);
        expect(differences(original, await pictureOf(join(disk.folder, source)))).toEqual([]);
      });
    });
  });
});
