import { join } from 'node:path';
import type { EntryDraft, LineageId } from '@aliquot/proto';
import { hex } from '@aliquot/shared/crypto/bytes';
import { clampVersionTime } from '@aliquot/shared/log/version-time';
import { temporaryFolder } from '@aliquot/shared/testing/temp';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { StoreWorld, type WorldAgent } from '../../testing/store/world.ts';
import { StoredVault } from './stored-vault.ts';
import type { VaultCore } from './vault/core.ts';
import { CoreKeeper } from './vault/core-keeper.ts';
import { diskMedia } from './vault/media.ts';
import { factsOf } from './vault/retention/facts-of.ts';
import { factsOfOne } from './vault/retention/facts-of-one.ts';
import type { FactsAsked } from './vault/retention/file-facts.ts';
import type { JudgedSubject } from './vault-retention.ts';

/**
 * What retention is told of versions is what was committed: their times, and what replaced them.
 */

const paths = ['/a', '/b', '/r/c', '/r/d'];
const ROOT = '/r';

const version = fc.record({
  path: fc.nat(paths.length - 1),
  kind: fc.constantFrom('whole', 'whole', 'growing', 'gone'),
  className: fc.constantFrom('raw', 'other'),
  lateMs: fc.integer({ min: -3000, max: 2000 }),
});
const commit = fc.record({
  versions: fc.array(version, { minLength: 1, maxLength: 5 }),
  /** A row of the folder result stands behind its members. */
  row: fc.constantFrom(undefined, 'open', 'closed'),
  laterMs: fc.constantFrom(0, 500, 5000),
});
const commits = fc.array(commit, { minLength: 1, maxLength: 7 });
type Commits = typeof commits extends fc.Arbitrary<infer T> ? T : never;

interface Expected {
  readonly timeMs: number;
  readonly receivedMs: number;
  readonly kind: string;
  readonly className: string;
  untilMs: number;
  replacedMs: number;
}

/** What each path should have, by a plain walk over what was sent. */
class Model {
  readonly files = new Map<string, Expected[]>();
  #lastMs: number | undefined;
  #afterMs: number;

  constructor(enrolledMs: number) {
    this.#afterMs = enrolledMs;
  }

  receive(receivedMs: number): void {
    if (this.#lastMs !== undefined && this.#lastMs < receivedMs) this.#afterMs = this.#lastMs;
    this.#lastMs = receivedMs;
  }

  add(path: string, claimMs: number, rest: Pick<Expected, 'receivedMs' | 'kind' | 'className'>) {
    const known = this.files.get(path) ?? [];
    this.files.set(path, known);
    const before = known.at(-1);
    const clamped = clampVersionTime(claimMs, this.#afterMs, rest.receivedMs);
    const timeMs = Math.max(clamped, before?.timeMs ?? 0);
    if (before !== undefined) {
      before.untilMs = timeMs;
      before.replacedMs = rest.receivedMs;
    }
    known.push({ ...rest, timeMs, untilMs: Infinity, replacedMs: Infinity });
  }
}

async function lived(all: Commits): Promise<{
  readonly keeper: CoreKeeper;
  readonly agent: WorldAgent;
  readonly model: Model;
}> {
  const dir = temporaryFolder();
  const world = new StoreWorld('facts');
  const vault = join(dir, 'vault');
  const store = await StoredVault.inFolder(vault, world.identity, world.ports());
  await store.events.append(world.vaultAdded());
  const agent = await world.agent(store, 'hplc-1');
  const model = new Model(world.clock.now);
  for (const { versions, row, laterMs } of all) {
    world.clock.now += laterMs;
    model.receive(world.clock.now);
    const drafts = new Map<string, EntryDraft>();
    const sent = versions.map(({ path: at, kind, className, lateMs }): EntryDraft => {
      const path = paths[at] ?? '/a';
      const claimMs = world.clock.now - lateMs;
      model.add(path, claimMs, { receivedMs: world.clock.now, kind, className });
      const made = { ...draftOf(agent, path, kind, claimMs), class: className };
      const [draft = made] = path.startsWith(`${ROOT}/`) ? agent.membersOf(ROOT, [made]) : [made];
      drafts.set(path, draft);
      return draft;
    });
    const members = [...drafts].flatMap(([path, draft]) => (path.startsWith(ROOT) ? [draft] : []));
    const results =
      row === undefined ? [] : [agent.result(ROOT, members, { progress: row, class: 'raw' })];
    await agent.back(store, sent, { results });
  }
  await store.close();
  const media = diskMedia(vault, world.descriptor.vaultId, world.ports());
  const keeper = await CoreKeeper.open(media, world.descriptor, undefined);
  return { keeper, agent, model };
}

function draftOf(agent: WorldAgent, path: string, kind: string, capturedAtMs: number): EntryDraft {
  if (kind === 'gone') return agent.gone(path, capturedAtMs);
  const { draft } = agent.file(path, [], { capturedAtMs });
  const { read } = draft;
  if (kind === 'whole' || read === undefined) return draft;
  return { ...draft, completion: 'growing', read: { ...read, sha256: new Uint8Array(0) } };
}

function askedOf(branchId: LineageId): FactsAsked {
  const holds = async () => [];
  return { branchId, nowMs: 2e12, horizonMs: 2e12, policies: [], holds };
}

async function judged(core: VaultCore, branchId: LineageId, mostRows?: number) {
  const found = new Map<string, JudgedSubject>();
  const here = <T>(work: () => Promise<T>) => work();
  for await (const one of factsOf(core, askedOf(branchId), here, mostRows)) {
    if (one.facts === undefined) throw new Error('something cannot be read');
    const name = `${one.isResult ? 'result ' : ''}${hex(one.id)}`;
    expect(found.has(name)).toBe(false);
    found.set(name, one);
  }
  return found;
}

test('the facts of a history are those of what was sent, of all at once, in parts, and of one', async () => {
  await fc.assert(
    fc.asyncProperty(commits, async (all) => {
      const { keeper, agent, model } = await lived(all);
      const core = keeper.live();
      const found = await judged(core, agent.lineageId);
      for (const [path, expected] of model.files) {
        const one = found.get(hex(agent.fileId(path)));
        const told = one?.facts.versions.map((facts) => ({
          ...{ timeMs: facts.timeMs, receivedMs: facts.receivedMs, kind: facts.kind },
          className: facts.ruling.className,
          ...{ untilMs: facts.untilMs, replacedMs: facts.replacedMs },
        }));
        expect(told).toEqual(expected);
        const replaced = one?.facts.versions.map(({ replacedPlace }) => replacedPlace);
        const places = one?.facts.versions.map(({ place }) => place);
        expect(replaced).toEqual([...(places ?? []).slice(1), Infinity]);
      }
      const files = [...found.values()].filter(({ isResult }) => !isResult);
      expect(files).toHaveLength(model.files.size);
      expect(await judged(core, agent.lineageId, 18)).toEqual(found);
      for (const one of found.values())
        expect(await factsOfOne(core, askedOf(agent.lineageId), one)).toEqual(one);
      await keeper.close();
    }),
    { numRuns: 12 },
  );
});
