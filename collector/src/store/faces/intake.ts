import type { AgentId, ChunkId, LineageId } from '@aliquot/proto';
import { release } from '@aliquot/shared/crypto/bytes';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import { keys } from '../catalog/catalog-keys.ts';
import { speakerOf } from '../catalog/refusal.ts';
import { values } from '../catalog/row-codec.ts';
import { UnprovedPages } from '../catalog/unproved-pages.ts';
import {
  type GateContext,
  judgeCommit,
  judgeHeartbeat,
  verifySubmission,
} from '../vault/commit-gate.ts';
import type { VaultCore } from '../vault/core.ts';
import { HurtCommits } from '../vault/hurt-commits.ts';
import { batches, checkedItems, checkItems, storeItems } from '../vault/put-items.ts';
import { SameTime } from '../vault/same-time.ts';
import { Submission } from '../vault/submission.ts';
import type { VaultParts } from '../vault/vault-parts.ts';
import type { PutItem } from '../vault-records.ts';
import type { VaultIntake } from '../vault-store.ts';

/** Longer questions are long work: an agent may ask them without end. */
const SHORT_QUESTION_IDS = 64;
/** A millisecond or two. */
const QUESTION_STEP_IDS = 512;

export function intakeOf(parts: VaultParts): VaultIntake {
  const { vault, keeper, purgeBook, reserve, clock, turns, pace, limits, hasher } = parts;
  const gateOf = (core: VaultCore): GateContext => ({
    core,
    uploads: keeper.uploads,
    purgeBook,
    vaultId: vault.descriptor.vaultId,
    collectorId: vault.certificate.collectorId,
    identity: vault.identity,
    limits,
  });

  const [writing, syncing] = [new SameTime(pace), new SameTime(pace)];
  const unproved = new UnprovedPages();
  const hurt = new HurtCommits();

  /** Makes durable what a lineage's next commit relies on; takes as long where others had it. */
  const settle = async (lineageId: LineageId): Promise<void> => {
    const borrows = keeper.uploads.takeBorrowed(lineageId);
    const began = syncing.begin();
    if (await keeper.isUnsettled(lineageId)) {
      await keeper.settleUploads(lineageId);
      syncing.done(began, 0);
    } else if (borrows) await syncing.pretend(began, 0);
  };

  const put = async (lineageId: LineageId, items: readonly PutItem[]): Promise<void> => {
    await reserve.admit();
    for (const batch of batches(items)) {
      const began = writing.begin();
      const { written, borrowed } = await keeper.do(async (core) => {
        const bytes = await storeItems(core, keeper.uploads, lineageId, batch);
        await keeper.syncWhenFull(core);
        return bytes;
      });
      if (borrowed > 0) await writing.pretend(began, written + borrowed);
      else if (written > 0) writing.done(began, written);
      if (!keeper.uploads.isFull(lineageId)) continue;
      await settle(lineageId);
      await keeper.do((core) => keeper.uploads.appendTo(core, lineageId));
    }
  };

  const held = async (lineageId: LineageId, ids: readonly ChunkId[]): Promise<boolean[]> => {
    // What is written down leaves the pending ones after that: so those are looked at first.
    const pending = ids.map((id) => keeper.uploads.has(lineageId, id));
    const rows = await keeper.ask(({ items }) => items.ownedWhole(lineageId, ids));
    // What has lost pieces since it was looked is known here; and what is here loses none from now
    // on (I-C32): nothing is awaited between both.
    const { thin } = keeper.uploads;
    const answer = ids.map((id, at) => {
      return (rows[at] !== undefined || pending[at] === true) && !thin.isTaken(id);
    });
    thin.keep(ids.filter((_, at) => answer[at] === true));
    if (keeper.uploads.isWatched(lineageId))
      keeper.uploads.touch(
        lineageId,
        ids.filter((_, at) => answer[at] === true),
      );
    return answer;
  };

  /**
   * Records that an agent that was said to be lost is back, before it hears or says anything: from
   * then on it is waited for again.
   */
  const welcome = async (agentId: AgentId): Promise<void> => {
    if (keeper.live().registry.lostAgent(agentId) === undefined) return;
    const found = async (core: VaultCore): Promise<number | undefined> => {
      if (core.registry.lostAgent(agentId) === undefined) return undefined;
      const timeMs = clock.nowMs();
      return core.appendEvent({ type: 'agentFound', timeMs, agentId }, timeMs);
    };
    await keeper.doDurably(found, (leafIndex) => leafIndex);
  };

  return {
    async has(lineageId, ids) {
      if (ids.length <= SHORT_QUESTION_IDS)
        return turns.serve(lineageId, () => held(lineageId, ids));
      const answer: boolean[] = [];
      for (let from = 0; from < ids.length; from += QUESTION_STEP_IDS) {
        const part = ids.slice(from, from + QUESTION_STEP_IDS);
        answer.push(...(await turns.step(lineageId, () => held(lineageId, part))));
      }
      return answer;
    },

    putChunks: (lineageId, items) =>
      turns.serve(lineageId, async () => {
        await checkItems(items);
        await put(lineageId, items);
      }),

    putBodies: (lineageId, bodies) =>
      turns.serve(lineageId, async () => {
        const checked = await checkedItems(hasher, bodies);
        await put(lineageId, checked.items);
        for (const bytes of checked.bytes) release(bytes);
      }),

    sync: () => keeper.sync(),

    async commit(agentId, commitBytes, nowMs, options = {}) {
      await reserve.admit();
      await welcome(agentId);
      const { registry } = await keeper.ready();
      const speaker = speakerOf(registry, agentId, options);
      if ('type' in speaker) return speaker;
      const { lineageId } = speaker.row;
      const verified = verifySubmission(commitBytes, vault.descriptor, speaker.certificate);
      if ('type' in verified) return verified;
      const submission = new Submission(verified, commitBytes, keeper.uploads, unproved);
      const judge = async (core: VaultCore) => {
        const judged = await judgeCommit(gateOf(core), submission, nowMs, options);
        if (judged.type === 'accepted') noteSeen(core, agentId, nowMs);
        else if (judged.type === 'unfinished') await keeper.syncWhenFull(core);
        return judged;
      };
      const judgeInQueue = async () => {
        await settle(lineageId);
        return keeper.doDurably(judge, (outcome) =>
          outcome.type === 'accepted' ? outcome.leafIndex : undefined,
        );
      };
      for (;;) {
        const judged = await turns.serve(lineageId, judgeInQueue);
        if (judged.type !== 'unfinished') {
          if (keeper.live().isBehind) await keeper.makeAgain();
          return judged;
        }
        while (await turns.step(lineageId, () => submission.goOn(keeper, lineageId)));
      }
    },

    async heartbeat(agentId, signed, nowMs) {
      const core = keeper.live();
      const speaker = speakerOf(core.registry, agentId);
      if ('type' in speaker) return speaker;
      const { vaultId } = vault.descriptor;
      const judged = judgeHeartbeat(signed, { vaultId, agent: speaker.certificate });
      if ('code' in judged) return judged;
      noteSeen(core, agentId, nowMs);
      const received = core.moment(nowMs);
      core.registry.setHeartbeat(agentId, judged, received);
      core.catalog.note(keys.heartbeat(agentId), values.heartbeat(received, signed));
      return undefined;
    },

    seen: (agentId, nowMs) => noteSeen(keeper.live(), agentId, nowMs),

    branchOf(agentId, chainId) {
      const { registry } = keeper.live();
      const branchId = registry.lines(agentId)?.chainHead(chainId)?.branchId;
      if (branchId === undefined) return undefined;
      return registry
        .record(agentId)
        ?.histories.find((history) => equalBytes(history.branchId, branchId));
    },

    async chainHead(agentId, chainId) {
      await welcome(agentId);
      const { registry } = await keeper.settled();
      const head = registry.lines(agentId)?.chainHead(chainId)?.head;
      if (head === undefined) return undefined;
      return keeper.ask((core) => hurt.headBefore(core, agentId, head));
    },
  };
}

function noteSeen(core: VaultCore, agentId: AgentId, nowMs: number): void {
  const { registry, catalog, bytes: size } = core;
  const rhythm = registry.learnRhythm(agentId, nowMs);
  if (rhythm !== undefined) catalog.note(keys.rhythm(agentId), values.rhythm(rhythm));
  const moment = core.moment(nowMs);
  registry.seen(agentId, moment);
  catalog.note(keys.seen(agentId), values.moment(moment));
  for (const { day, bytes } of registry.growth.note(nowMs, size))
    catalog.note(keys.packBytes(day), bytes === undefined ? undefined : values.u64(bytes));
}
