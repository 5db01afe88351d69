import { chmodSync, existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type Command, run, start, stop } from '../measure/command.ts';
import { bytesUnder } from '../measure/disk.ts';
import { type KeptShares, keptBytes, keptShares } from '../measure/kept.ts';
import type {
  BackupSystem,
  BenchPc,
  Conditions,
  Repository,
  RunningService,
  SystemProbe,
} from './system.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const launcher = (name: 'aliquot' | 'aliquot-agent'): string => join(root, 'bin', name);

/** How long a service may take for its first whole look at the source. */
const FIRST_SCAN_MS = 600_000;

/** What the other tools of the bench need beside a backup system's part. */
export interface OurRepository extends Repository {
  /** `aliquot stats --json`. */
  statistics(): Command;
  /** What pc-1 had at a time. */
  restoreAt(time: string, to: string): Command;
  /** Bytes of the parts of the collector and of pc-1, as they lie on the disk now. */
  bytes(): Promise<KeptShares['bytes']>;
  /** Ends the server, and starts it again at its address: in another way if `serveBy` says so. */
  restart(serveBy?: (command: Command) => Command): Promise<void>;
  startService(source: string): Promise<RunningService>;
}

interface OurSystem extends BackupSystem {
  /** `serveBy` may start the server in another way; what it makes has to run the same program. */
  open(
    folder: string,
    conditions?: Conditions,
    serveBy?: (command: Command) => Command,
  ): Promise<OurRepository>;
}

/**
 * The built programs on loopback, as the README sets them up: a collector that serves, a kit with
 * the usual cost, two enrolled PCs.
 */
export const ours: OurSystem = {
  name: 'ours',
  async probe(): Promise<SystemProbe> {
    const built = ['agent', 'collector'].every((room) =>
      existsSync(join(root, room, 'dist/program/main.js')),
    );
    if (!built) return { missing: 'the programs are not built; run: npm ci && npm run build' };
    return {
      version: `aliquot ${(await run({ program: launcher('aliquot'), args: ['--version'] })).trim()}`,
    };
  },
  async open(folder, conditions = {}, serveBy = (command) => command): Promise<OurRepository> {
    const data = join(folder, 'collector');
    const kit = join(folder, 'bench.kit');
    const agentData = (pc: BenchPc): string => join(folder, `agent-${pc}`);
    await run({ program: launcher('aliquot'), args: ['init', '--data', data, '--name', 'bench'] });
    const serve = (listen: string, by: typeof serveBy) =>
      start(
        by({
          program: launcher('aliquot'),
          args: ['serve', '--data', data, '--listen', listen],
          environment: { ALIQUOT_LOG_LEVEL: 'error' },
        }),
      );
    let server = serve('127.0.0.1:0', serveBy);
    const url = await firstEvent(server, 'listening', 'url');
    const operator = (...args: readonly string[]): Command => ({
      program: launcher('aliquot'),
      args: [...args, '--token-file', join(data, 'admin.token')],
      environment: {
        ALIQUOT_URL: url,
        ALIQUOT_PASSPHRASE: 'correct horse battery staple',
        ALIQUOT_STATE: join(folder, 'operator'),
        ALIQUOT_TOKEN: undefined,
        ALIQUOT_KIT: undefined,
      },
    });
    const made = operator('kit', 'create', '--out', kit, '--vault', 'bench');
    await run({ ...made, args: made.args.slice(0, -2) });
    await run(operator('vault', 'add', '--kit', kit));
    for (const pc of ['pc-1', 'pc-2'] as const) {
      const bundle = join(folder, `${pc}.bundle`);
      await run(operator('enroll', pc, '--kit', kit, '--out', bundle));
      await run({
        program: launcher('aliquot-agent'),
        args: ['enroll', bundle, '--data', agentData(pc)],
      });
      if (conditions.agentPriority !== undefined)
        configure(agentData(pc), join(folder, 'nowhere'), conditions);
    }
    return {
      get servers() {
        return [server.pid ?? 0];
      },
      backup: (source, pc) => ({
        program: launcher('aliquot-agent'),
        args: ['backup', source, '--data', agentData(pc), '--json'],
      }),
      restore: (_source, to) =>
        operator('restore', '--kit', kit, '--agent', 'pc-1', '--to', to, '--json'),
      restoreAt: (time, to) =>
        operator('restore', '--kit', kit, '--agent', 'pc-1', '--at', time, '--to', to, '--json'),
      restoreFile: (_source, file, to) =>
        operator('restore', '--kit', kit, '--agent', 'pc-1', '--path', file, '--to', to, '--json'),
      restoredPath: (_source, path, to) => join(to, path),
      check: () => operator('check', '--kit', kit, '--json'),
      scrub: () => ({ program: launcher('aliquot'), args: ['fsck', '--data', data, '--json'] }),
      storedBytes: () => bytesUnder(data),
      async kept() {
        await stop(server);
        return keptShares(data, agentData('pc-1'));
      },
      bytes: () => keptBytes(data, agentData('pc-1')),
      async restart(by = (command) => command) {
        await stop(server);
        server = serve(new URL(url).host, by);
        await firstEvent(server, 'listening', 'url');
      },
      statistics: () => operator('stats', '--json'),
      startService(source) {
        configure(agentData('pc-1'), source, conditions);
        return startService(agentData('pc-1'));
      },
      close: () => stop(server),
    };
  },
};

/**
 * Writes the agent's configuration: one source that it never finds settled by itself, so that only
 * commands make it work.
 */
function configure(data: string, source: string, { agentPriority }: Conditions): void {
  const file = join(data, 'agent.yaml');
  const priority = agentPriority === undefined ? '' : `courtesy:\n  priority: ${agentPriority}\n`;
  const sources = `sources:\n  - path: ${JSON.stringify(source)}\n    quietPeriodSeconds: 3600\n`;
  writeFileSync(file, `scanIntervalSeconds: 3600\n${priority}${sources}`);
  chmodSync(file, 0o600);
}

/** The agent's service; resolves when it has looked at all of its source, so that it rests. */
async function startService(data: string): Promise<RunningService> {
  const service = start({ program: launcher('aliquot-agent'), args: ['run', '--data', data] });
  service.stdout?.resume();
  service.stderr?.resume();
  // Seldom, for the answer takes from the very work that is waited for.
  for (const until = performance.now() + FIRST_SCAN_MS; ; await delay(1000)) {
    const status = await run({
      program: launcher('aliquot-agent'),
      args: ['status', '--data', data, '--json'],
      accepted: [0, 1, 3],
    });
    if (hasScanned(status)) break;
    if (service.exitCode !== null)
      throw new Error("the agent's service ended before its first scan");
    if (performance.now() > until)
      throw new Error("the agent's service did not end its first scan");
  }
  return { pid: service.pid ?? 0, stop: () => stop(service) };
}

/** Whether the status event tells of a whole scan. */
function hasScanned(status: string): boolean {
  return status.split('\n').some((line) => {
    if (!line.startsWith('{')) return false;
    const event = JSON.parse(line) as Record<string, unknown>;
    return event['event'] === 'status' && typeof event['lastScan'] === 'string';
  });
}

/** A field of the first line `{"event": name, …}` of a program that goes on. */
async function firstEvent(
  child: ReturnType<typeof start>,
  name: string,
  field: string,
): Promise<string> {
  if (child.stdout === null) throw new Error('the program has no output');
  let complaint = '';
  child.stderr?.on('data', (bytes: Buffer) => {
    complaint = (complaint + bytes.toString()).slice(-2000);
  });
  for await (const line of createInterface({ input: child.stdout })) {
    const event = line.startsWith('{') ? (JSON.parse(line) as Record<string, unknown>) : {};
    if (event['event'] === name) {
      child.stdout.resume();
      return String(event[field]);
    }
  }
  throw new Error(`the program ended before it said "${name}": ${complaint.trim()}`);
}
