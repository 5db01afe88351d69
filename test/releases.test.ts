import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { Vendor, writeRelease } from '@aliquot/shared/testing/release/vendor';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { mustRun } from '../demo/programs.ts';
import { compile, compilerNote, hasCompiler } from '../deploy/host/testing/compile.ts';
import {
  badLauncher,
  filesOf,
  goodLauncher,
  Host,
  install,
  smallVersion,
} from './release/installed.ts';
import { SmallDisk } from './small-disk.ts';
import { type AgentPlace, World } from './world.ts';

/**
 * Ten minutes are one and a half here, and five minutes half a second: a busy machine must reach
 * its collector meanwhile.
 */
const scaled = [
  'SWITCH_TRIAL_MS=90000L',
  'SWITCH_WAITS_MS={300L,300L,500L}',
  'HOST_STOP_MS=2000L',
  'HOST_LOOK_MS=100L',
];
const BEFORE = '0.0.1';
/** Not newer than the collector of this build. */
const GOOD = '0.0.9';

interface Bad {
  readonly version: string;
  readonly launcher: string;
  readonly reason: 'died' | 'no-session';
}

/**
 * What a release can do wrong. The collector takes none of them by itself; each is named to one PC.
 */
const bad: Readonly<Record<string, Bad>> = {
  'does not start': { version: '0.0.2', launcher: '#!/nowhere/sh\n', reason: 'died' },
  'starts and never connects': { version: '0.0.3', launcher: goodLauncher(), reason: 'no-session' },
  'connects, and dies after a minute': {
    version: '0.0.4',
    // `exec` keeps the process id. It is killed once it has confirmed.
    launcher: badLauncher(
      '(while [ ! -e "$ALIQUOT_ROOT/confirmed" ]; do sleep 0.2; done; rm "$ALIQUOT_ROOT/confirmed"; kill -9 $$) &',
    ),
    reason: 'died',
  },
  hangs: {
    version: '0.0.5',
    launcher: '#!/bin/sh\ntrap "" TERM\nwhile :; do sleep 0.2; done\n',
    reason: 'no-session',
  },
  'fills the disk': {
    version: '0.0.6',
    launcher:
      '#!/bin/sh\ndd if=/dev/zero of="$ALIQUOT_ROOT/versions/0.0.6/fill" bs=65536 2>/dev/null\nexit 1\n',
    reason: 'died',
  },
};

/** A version whose program looks for its collector where there is none. */
function neverConnects(): Record<string, Buffer> {
  const files = filesOf();
  for (const [name, bytes] of Object.entries(files)) {
    if (name.endsWith('.js'))
      files[name] = Buffer.from(
        bytes.toString('latin1').replace('"/v1/agent"', '"/v1/nowhere"'),
        'latin1',
      );
  }
  return files;
}

interface Pc {
  readonly agent: AgentPlace;
  readonly root: string;
  readonly results: string;
  host: Host;
}

describe.skipIf(!hasCompiler || process.platform !== 'linux')(
  `releases on PCs with a folder install${compilerNote}`,
  () => {
    let world: World;
    let built: ReturnType<typeof compile>;
    let vendor: Vendor;
    const pcs = new Map<string, Pc>();
    const disks: SmallDisk[] = [];

    beforeAll(async () => {
      built = compile(['switch.c', 'files.c', 'posix.c'], scaled);
      world = await World.open();
      vendor = new Vendor(Date.now());
      for (const { version, launcher, reason } of Object.values(bad)) {
        const files =
          version === '0.0.3' && reason === 'no-session' ? neverConnects() : filesOf(launcher);
        vendor.release(smallVersion(version, files), Date.now());
      }
      writeRelease(
        join(world.folder, 'release'),
        vendor.release(smallVersion(GOOD, filesOf()), Date.now()),
      );
      await world.aliquot(['release', 'add', join(world.folder, 'release')]);
    });

    afterAll(async () => {
      await Promise.all([...pcs.values()].map(({ host }) => host.kill()));
      for (const disk of disks) await disk.unmount();
      await world.close();
      rmSync(built.folder, { recursive: true, force: true });
    });

    /** A PC that runs the release of before, with results and more of them to come. */
    async function pcNamed(name: string, folder = join(world.folder, name)): Promise<Pc> {
      const agent = await world.agent(name);
      const [root, results] = [join(folder, 'root'), join(world.folder, `${name}-results`)];
      mkdirSync(root, { recursive: true });
      mkdirSync(results);
      await install(root, BEFORE, built.program, vendor);
      writeFileSync(
        join(agent.data, 'agent.yaml'),
        `sources: [{path: ${results}, quietPeriodSeconds: 0}]\nscanIntervalSeconds: 2\n`,
      );
      addResults(results, 'first');
      const pc = { agent, root, results, host: new Host(root, agent.data) };
      pcs.set(name, pc);
      return pc;
    }

    function addResults(folder: string, run: string): void {
      for (let at = 0; at < 20; at += 1)
        writeFileSync(join(folder, `${run}-${at}.csv`), `${run} ${at}\n`.repeat(100 + at));
    }

    /** What the desk tells each PC; PCs that are not named keep what they have. */
    async function tell(wishes: ReadonlyMap<string, string>): Promise<void> {
      const lines = [...wishes].map(
        ([name, version]) => `    ${name}: {update: {version: "${version}"}}`,
      );
      const file = await world.write('policy.yaml', `agents:\n  pcs:\n${lines.join('\n')}\n`);
      await world.aliquot(['policy', 'set', file, '--kit', world.kit, '--yes', '--all']);
    }

    /** Waits until central IT has been told of a problem by exactly these PCs. */
    async function told(code: string, names: readonly string[]): Promise<void> {
      for (;;) {
        const { lines } = await world.tryAliquot(['agents', '--problems', '--json']);
        const by = lines
          .filter((line) => JSON.stringify(line).includes(code))
          .map((line) => String(line['agent'] ?? line['name']));
        if (names.every((name) => by.includes(name)))
          return expect([...new Set(by)].sort()).toEqual([...names].sort());
        await setTimeout(3000);
      }
    }

    /**
     * Everything that the PC ever had is at the collector, byte for byte, and its folder is sound.
     */
    async function wholeQueue({ agent, results, host }: Pc): Promise<void> {
      addResults(results, 'last');
      await mustRun('aliquot-agent', ['backup', results, '--data', agent.data]);
      await mustRun('aliquot-agent', ['flush', '--data', agent.data]);
      await host.stop();
      await mustRun('aliquot-agent', ['fsck', '--data', agent.data]);
      const back = join(world.folder, `${agent.name}-back`);
      await world.aliquot(['restore', '--kit', world.kit, '--agent', agent.name, '--to', back]);
      const found = new Map(
        readdirSync(back, { recursive: true, withFileTypes: true }).map((entry) => [
          entry.name,
          join(entry.parentPath, entry.name),
        ]),
      );
      for (const name of readdirSync(results))
        expect(await readFile(found.get(name) ?? '', 'utf8')).toBe(
          await readFile(join(results, name), 'utf8'),
        );
      expect(readdirSync(results)).toHaveLength(60);
    }

    it('takes a good one, comes back from each bad one by itself, and loses nothing', {
      timeout: 1_800_000,
    }, async ({ skip }) => {
      const disk = await SmallDisk.mount(join(world.folder, 'small'), 420);
      if (typeof disk === 'string') return skip(disk);
      disks.push(disk);
      const wishes = new Map([['pc-good', GOOD]]);
      await pcNamed('pc-good');
      for (const [at, { version }] of Object.values(bad).entries()) {
        wishes.set(`pc-${at}`, version);
        await pcNamed(`pc-${at}`, version === '0.0.6' ? disk.folder : undefined);
      }
      for (const { host } of pcs.values())
        await host.until('it runs', () => host.said.includes('"state":"ready"'));
      await tell(wishes);

      await Promise.all([
        (async () => {
          const pc = pcs.get('pc-good') as Pc;
          await pc.host.until(
            'the trial is won',
            () => pc.host.text('current') === `${GOOD}\n` && pc.host.text('trial') === '',
          );
          expect(pc.host.said).toContain(`version ${GOOD} has proved itself`);
          addResults(pc.results, 'second');
          // The same Node under two names: nothing of it was sent again.
          expect(statSync(join(pc.root, 'versions', GOOD, 'node')).ino).toBe(
            statSync(join(pc.root, 'versions', BEFORE, 'node')).ino,
          );
          expect(pc.host.said).not.toContain('is given up');
        })(),
        ...Object.entries(bad).map(async ([name, { version, reason }], at) => {
          const pc = pcs.get(`pc-${at}`) as Pc;
          await pc.host.until(`${name}: it is on trial`, () =>
            pc.host.said.includes(`starting ${version} on trial`),
          );
          addResults(pc.results, 'second');
          await pc.host.until(`${name}: it is given up`, () =>
            pc.host.said.includes(`version ${version} is given up`),
          );
          const from = pc.host.said.length;
          await pc.host.until(`${name}: the one before is connected`, () =>
            pc.host.said.slice(from - 200).includes('"state":"ready"'),
          );
          expect(`${name}: ${pc.host.text('current')}`).toBe(`${name}: ${BEFORE}\n`);
          // On a full disk the reason may not be written down; that it was given up is known
          // anyway.
          if (version !== '0.0.6')
            expect(pc.host.text('bad'), `${name}: ${pc.host.said}`).toBe(`${version} ${reason}\n`);
        }),
      ]);
      await told(
        'release-bad',
        Object.keys(bad).map((_, at) => `pc-${at}`),
      );
      for (const pc of pcs.values()) await wholeQueue(pc);
    });

    it('refuses what a hostile collector hands out, says so to central IT, and takes the true one afterwards', {
      timeout: 1_800_000,
    }, async () => {
      const shelf = join(world.collectorData, 'releases');
      const name = 'pc-hostile';
      const pc = await pcNamed(name);
      await pc.host.until('it runs', () => pc.host.said.includes('"state":"ready"'));
      const genuine = new Map(
        readdirSync(shelf, { recursive: true, withFileTypes: true })
          .filter((entry) => entry.isFile())
          .map((entry) => join(entry.parentPath, entry.name))
          .map((path) => [path, readFileSync(path)] as const),
      );
      const foreign = new Vendor(Date.now()).release(
        smallVersion(GOOD, { 'launcher*': Buffer.from('#!/bin/sh\n') }),
        Date.now(),
      );
      const program = [...genuine.keys()].find((path) => path.includes(`program-${GOOD}-`)) ?? '';
      const changed = Buffer.from(genuine.get(program) ?? '');
      changed[1000] = (changed[1000] ?? 0) ^ 1;
      /** What the collector hands out, and how the PC says that it is not taken. */
      const tricks: readonly (readonly [string, ReadonlyMap<string, Buffer>, string])[] = [
        [
          'another vendor',
          new Map([...foreign].map(([file, bytes]) => [join(shelf, file), bytes])),
          "not the vendor's, or were altered",
        ],
        ['a changed file', new Map([[program, changed]]), "is not what the vendor's list says"],
        [
          'nothing',
          new Map([...genuine.keys()].map((path) => [path, Buffer.alloc(0)])),
          'the collector has no releases',
        ],
      ];
      for (const [trick, files, words] of tricks) {
        for (const [path, bytes] of files) writeFileSync(path, bytes);
        await tell(new Map([[name, GOOD]]));
        await pc.host.until(`${trick} is refused`, () => pc.host.said.includes(words));
        await told('release-refused', [name]);
        expect(pc.host.text('staged') + pc.host.text('trial'), trick).toBe('');
        for (const path of files.keys()) if (!genuine.has(path)) rmSync(path);
        for (const [path, bytes] of genuine) writeFileSync(path, bytes);
        // Remembered: also by a service that was started again and has not looked yet.
        const { lines } = await mustRun('aliquot-agent', [
          'status',
          '--data',
          pc.agent.data,
          '--json',
        ]);
        expect(
          lines
            .filter((line) => line['event'] === 'problem' && line['code'] === 'release-refused')
            .map((line) => line['message']),
        ).toEqual([expect.stringContaining(words)]);
      }
      await tell(new Map([[name, GOOD]]));
      await pc.host.until('the true one is on trial', () =>
        pc.host.said.includes(`starting ${GOOD} on trial`),
      );
      await pc.host.stop();
    });
  },
);
