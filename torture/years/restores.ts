import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { pathText } from '@aliquot/shared/cli/format';
import { processOutput } from '@aliquot/shared/cli/standard-output';
import { hex } from '@aliquot/shared/crypto/bytes';
import { sha256 } from '@aliquot/shared/crypto/primitives';
import { nodeDisk } from '@aliquot/shared/derived/node-level';
import { sealKit } from '@aliquot/shared/keys/kit';
import { standardError } from '@aliquot/shared/log-lines/line-target';
import { systemMonotonicMs, systemRandom } from '@aliquot/shared/ports';
import { toRestoreItem } from '@aliquot/shared/restore/placing';
import { restoreFiles } from '@aliquot/shared/restore/restore-files';
import type { SeededRandom } from '@aliquot/shared/testing/random';
import type { CommandContext } from '../../collector/src/cli/context.ts';
import type { AgentView } from '../../collector/src/operator/agent-view.ts';
import { fetchItems } from '../../collector/src/operator/fetch-items.ts';
import { openVault, type ProvedVault, readerOf } from '../../collector/src/operator/open-vault.ts';
import { provedState } from '../../collector/src/operator/proof/answers.ts';
import { proofTarget } from '../../collector/src/operator/proof-target.ts';
import {
  certifiedAgent,
  type OpenVersion,
  openVersions,
} from '../../collector/src/operator/verified.ts';
import { aliquot, serving } from '../../collector/testing/cli.ts';
import { countedInstants, plainAfter } from '../../collector/testing/retention/oracle.ts';
import type { StoreWorld } from '../../collector/testing/store/world.ts';
import { freePort } from '../../test/ports.ts';
import type { BookPolicy } from './book.ts';
import { wholeOf } from './content.ts';
import type { Pc } from './pc.ts';
import { currentAt, type RecordedSubject, type RecordedVersion } from './record.ts';
import { describe, type JudgeParts } from './verify.ts';

const PASSPHRASE = 'correct horse battery staple';
/** What commands note beside their answers. */
const unheard = new Writable({ write: (_text, _encoding, done) => done() });
unheard.setMaxListeners(0);
/** So many PCs are asked for the state at every instant that a rule counts. */
const SHARE_ASKED_WHOLLY = 0.15;
/** Beside what each rule counts: so many instants of the days in which every state stays. */
const INSTANTS_WITHIN = 2;

export interface Restored {
  readonly versions: number;
  readonly bytes: number;
  /** Questions for all files of a PC as they were at one time. */
  readonly states: number;
  /** Files in the answers. */
  readonly stateFiles: number;
  /** Files that the command itself wrote, and folder results. */
  readonly written: number;
  readonly results: number;
  readonly wrong: readonly string[];
}

/**
 * Restores through the operator's own code with the kit, from the real server over the closed
 * folder: every version that is left, every state that the rules promise, some of them with the
 * command and onto a disk.
 */
export async function judgeRestores(
  parts: JudgeParts,
  room: Omit<Room, 'desk'>,
): Promise<Restored> {
  const { archive } = parts;
  const { world, root } = room;
  await archive.close();
  const kit = join(root, 'lab.kit');
  const weak = { logN: 4, r: 8, p: 1 };
  await writeFile(kit, sealKit(world.kit, PASSPHRASE, systemRandom, weak), { mode: 0o600 });
  await writeFile(join(archive.dir, 'maintenance.yaml'), 'retention: off\ncollection: off\n');
  process.env['ALIQUOT_PASSPHRASE'] = PASSPHRASE;
  const listen = `127.0.0.1:${await freePort()}`;
  const served = await serving(['--data', archive.dir, '--listen', listen], world);
  try {
    const token = (await readFile(join(archive.dir, 'admin.token'), 'utf8')).trim();
    const desk = { url: served.url, token, kit, state: join(root, 'operator') };
    return await new Restores(parts, { ...room, desk }).all();
  } finally {
    await served.stop();
    await archive.open();
  }
}

interface Desk {
  readonly url: string;
  readonly token: string;
  readonly kit: string;
  readonly state: string;
}

interface Room {
  readonly world: StoreWorld;
  readonly random: SeededRandom;
  /** For scratch files. */
  readonly root: string;
  /** There is no time for much. */
  readonly isShort: boolean;
  readonly desk: Desk;
}

/** What a version came back as. */
interface CameBack {
  readonly timeMs: number;
  readonly sha256: string;
}

class Restores {
  readonly #parts: JudgeParts;
  readonly #room: Room;
  readonly #wrong: string[] = [];
  readonly #counts = { versions: 0, bytes: 0, states: 0, stateFiles: 0, written: 0, results: 0 };

  constructor(parts: JudgeParts, room: Room) {
    this.#parts = parts;
    this.#room = room;
  }

  async all(): Promise<Restored> {
    const newest = new Map(this.#parts.pcs.map((pc) => [pc.lineage, pc]));
    for (const pc of newest.values()) {
      const open = await openVault(this.#context(), {});
      const agent = await open.vault.roster.history(pc.agent.name);
      const subjects = this.#parts.record.subjects.filter(({ lineage }) => lineage === pc.lineage);
      const files = new Map(
        subjects.filter(({ isResult }) => !isResult).map((subject) => [subject.path, subject]),
      );
      await this.#everyVersion(open, agent, files);
      for (const ms of this.#asked(pc)) await this.#stateAt(open, agent, files, ms);
      if (this.#room.isShort && !this.#room.random.chance(SHARE_ASKED_WHOLLY)) continue;
      await this.#byCommand(pc, files);
      await this.#resultByCommand(pc, subjects);
    }
    return { ...this.#counts, wrong: this.#wrong };
  }

  #context(): CommandContext {
    const { desk, world } = this.#room;
    return {
      environment: {
        ...{ url: desk.url, token: desk.token, kit: desk.kit, stateFolder: desk.state },
        ...{ tlsCa: undefined, logLevel: undefined },
      },
      files: nodeDisk,
      clock: world.clock,
      monotonicMs: systemMonotonicMs,
      random: systemRandom,
      stdout: processOutput(),
      stderr: unheard,
      log: () => ({ target: standardError(), journal: false }),
      stopRequested: () => new Promise(() => {}),
    };
  }

  /** Each version that is left, whatever keeps it: newest, last of what is gone, held, locked. */
  async #everyVersion(
    open: ProvedVault,
    agent: AgentView,
    files: ReadonlyMap<string, RecordedSubject>,
  ): Promise<void> {
    const found = new Map<string, CameBack[]>();
    const watch = { onUnopened: () => void this.#wrong.push(`${agent.name}: something is shut`) };
    const reader = await readerOf(open);
    const answers = open.vault.reading.everyVersion(agent.agentId);
    const all = openVersions(answers, reader, certifiedAgent(open.kit, agent), watch);
    for await (const version of all) {
      if (version.entry.kind !== 'file') continue;
      const path = pathText(version.list.path);
      const came = {
        timeMs: version.row.versionTimeMs,
        sha256: await this.#restore(open, version),
      };
      found.set(path, [came, ...(found.get(path) ?? [])]);
    }
    for (const { path, versions } of files.values()) {
      const wanted = versions.filter(({ kind, isDropped }) => kind !== 'gone' && !isDropped);
      const came = found.get(path) ?? [];
      found.delete(path);
      if (textOf(wanted.map(asKept)) !== textOf(came))
        this.#wrong.push(
          `P2: of ${path} of ${agent.name} ${wanted.length} versions have to come back as they were, ${came.length} came`,
        );
    }
    if (found.size > 0) this.#wrong.push(`${agent.name}: files came back that nobody wrote`);
  }

  async #restore(open: ProvedVault, version: OpenVersion): Promise<string> {
    const pieces: Uint8Array[] = [];
    await restoreFiles([toRestoreItem(version)], {
      vaultId: open.kit.descriptor.vaultId,
      fetchItems: (ids) => fetchItems(open.vault.content, ids),
      writer: proofTarget(async (piece) => void pieces.push(Uint8Array.from(piece))),
      onFailure: (path, error) =>
        void this.#wrong.push(`P2: ${pathText(path)} does not come back: ${error.message}`),
    });
    const bytes = Buffer.concat(pieces);
    this.#counts.versions += 1;
    this.#counts.bytes += bytes.length;
    return hex(sha256(bytes));
  }

  /** Of a few PCs every instant, of the others some: each takes a proof over the whole history. */
  #asked(pc: Pc): readonly number[] {
    const all = this.#instants(pc);
    const { random, isShort } = this.#room;
    if (!isShort && random.chance(SHARE_ASKED_WHOLLY)) return all;
    const some = new Set([pc.agent.world.clock.now]);
    for (let at = 0; at < (isShort ? 2 : 10); at += 1) some.add(random.pick(all));
    return [...some];
  }

  /** Every instant that the last policy promises something of, for files of this PC. */
  #instants(pc: Pc): number[] {
    const { keeping } = this.#parts;
    const { nowMs } = keeping;
    const instants = new Set<number>([nowMs]);
    const { rules } = keeping.decisions.decided.policies.at(-1) as BookPolicy;
    for (const rule of rules) {
      if (rule.match.agents?.some((name) => pc.agent.name.startsWith(name.slice(0, -1))) === false)
        continue;
      for (const ms of countedInstants(rule, nowMs)) instants.add(ms);
      if (rule.keep === 'all') continue;
      const span = plainAfter(nowMs, rule.keep.within) - nowMs;
      for (let at = 0; at < INSTANTS_WITHIN; at += 1)
        instants.add(nowMs - this.#room.random.below(span));
    }
    return [...instants].sort((a, b) => a - b);
  }

  /** What `--at` shows of all files: what was current, or nothing where that was let go. */
  async #stateAt(
    open: ProvedVault,
    agent: AgentView,
    files: ReadonlyMap<string, RecordedSubject>,
    ms: number,
  ): Promise<void> {
    const shown = new Map<string, OpenVersion>();
    const watch = { onUnopened: () => void this.#wrong.push(`${agent.name}: something is shut`) };
    for await (const version of provedState(open, agent, ms, watch))
      shown.set(pathText(version.list.path), version);
    this.#counts.states += 1;
    this.#counts.stateFiles += shown.size;
    for (const { path, versions } of files.values()) {
      const wanted = wantedAt(versions, ms);
      const version = shown.get(path);
      const isSame =
        wanted === undefined
          ? version === undefined
          : version?.row.versionTimeMs === wanted.timeMs &&
            version.entry.size === wanted.bytes &&
            this.#hashFits(version, wanted);
      if (!isSame)
        this.#wrong.push(
          `P2: ${path} of ${agent.name} at ${new Date(ms).toISOString()}: ${wanted === undefined ? 'nothing' : describe(wanted, path)} has to come back, ${version === undefined ? 'nothing' : `one of ${new Date(version.row.versionTimeMs).toISOString()}`} came`,
        );
    }
  }

  #hashFits(version: OpenVersion, { kind, pieces }: RecordedVersion): boolean {
    const signed = version.read()?.sha256;
    if (kind === 'growing') return signed?.length === 0;
    return signed !== undefined && hex(signed) === hashOf(pieces);
  }

  /** The command itself, onto a disk. */
  async #byCommand(pc: Pc, files: ReadonlyMap<string, RecordedSubject>): Promise<void> {
    const { random, root, desk, world } = this.#room;
    const ms = random.pick(this.#instants(pc));
    const wanted = [...files.values()].flatMap(({ path, versions }) => {
      const one = wantedAt(versions, ms);
      return one === undefined ? [] : [{ path, one }];
    });
    const to = join(root, 'back');
    const time = new Date(ms).toISOString();
    const args = ['restore', '--agent', pc.agent.name, '--at', time, '--to', to];
    const { code, stderr } = await aliquot(args, { ...desk, clock: world.clock });
    if (code !== 0 && wanted.length > 0)
      this.#wrong.push(`restore of ${pc.agent.name} at ${time} ended with ${code}: ${stderr}`);
    for (const { path, one } of wanted) {
      const bytes = await readFile(join(to, path)).catch(() => undefined);
      if (bytes === undefined || !bytes.equals(wholeOf(one.pieces)))
        this.#wrong.push(`P2: restore wrote something else than ${describe(one, path)}`);
    }
    this.#counts.written += wanted.length;
    await rm(to, { recursive: true, force: true });
  }

  /** A folder result as one of its kept states has it. */
  async #resultByCommand(pc: Pc, subjects: readonly RecordedSubject[]): Promise<void> {
    const { random, root, desk, world } = this.#room;
    const states = subjects
      .filter(({ isResult }) => isResult)
      .flatMap(({ path, versions }) =>
        versions
          .filter(({ isDropped, members }) => !isDropped && members.length > 0)
          .map((row) => ({ path, row })),
      );
    for (let at = 0; at < Math.min(2, states.length); at += 1) {
      const { path, row } = random.pick(states);
      const to = join(root, 'result');
      const time = new Date(row.timeMs).toISOString();
      const args = ['restore', '--agent', pc.agent.name, '--result', path, '--at', time];
      const { code, stderr } = await aliquot([...args, '--to', to], {
        ...desk,
        clock: world.clock,
      });
      if (code !== 0) this.#wrong.push(`P2: ${describe(row, path)} is not restored: ${stderr}`);
      for (const member of row.members) {
        const file = subjects.find((one) => one.path === member && !one.isResult);
        const one = file?.versions.findLast(
          ({ leafIndex, slot }) =>
            leafIndex < row.leafIndex || (leafIndex === row.leafIndex && slot < row.slot),
        );
        const bytes = await readFile(join(to, member)).catch(() => undefined);
        if (one === undefined || bytes === undefined || !bytes.equals(wholeOf(one.pieces)))
          this.#wrong.push(`P2: ${member} is not what ${describe(row, path)} has`);
      }
      this.#counts.results += 1;
      await rm(to, { recursive: true, force: true });
    }
  }
}

/** What a state of a time has of a file; undefined: it was not there, or that has been let go. */
function wantedAt(versions: readonly RecordedVersion[], ms: number): RecordedVersion | undefined {
  const one = versions[currentAt(versions, ms)];
  return one === undefined || one.isDropped || one.kind === 'gone' ? undefined : one;
}

const hashes = new WeakMap<RecordedVersion['pieces'], string>();

function hashOf(pieces: RecordedVersion['pieces']): string {
  const known = hashes.get(pieces) ?? hex(sha256(wholeOf(pieces)));
  hashes.set(pieces, known);
  return known;
}

function asKept({ timeMs, pieces }: RecordedVersion): CameBack {
  return { timeMs, sha256: hashOf(pieces) };
}

function textOf(all: readonly CameBack[]): string {
  return all
    .map(({ timeMs, sha256: hash }) => `${timeMs} ${hash}`)
    .sort()
    .join();
}
