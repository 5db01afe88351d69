import {
  AliquotError,
  asChunkId,
  type ChunkId,
  decodeCommitHeader,
  decodeEntry,
  decodeEventBody,
  decodeLogLeaf,
  decodeSignedCommit,
  decodeStoredCommit,
  type Entry,
  type StoredCommit,
  type StoredEvent,
} from '@aliquot/proto';
import { verifyCommit } from '@aliquot/shared/commit/commit';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import { commitLeaf, eventLeaf } from '@aliquot/shared/log/leaf';
import { requireReceiptFor, verifyReceipt } from '@aliquot/shared/log/receipt';
import { gatherFacts } from './commit-facts.ts';
import { precedesLoss } from './commit-gate.ts';
import type { VaultCore } from './core.ts';
import { admitEvent } from './events.ts';
import type { Finding, FindingCode } from './fsck-finding.ts';
import type { Position } from './position.ts';
import { hex } from './registry.ts';
import type { ReplayAudit } from './replay.ts';
import { routeOf } from './route.ts';
import type { VaultIdentity } from './vault-parts.ts';

const RESTORE = 'put the packs back from a copy of the collector, and find out who changed them';

/** Proves each commit and event against everything before it, while fsck replays the journal. */
export class LogAudit implements ReplayAudit {
  readonly #vault: VaultIdentity;
  readonly #tell: (finding: Finding) => void;
  commits = 0;

  constructor(vault: VaultIdentity, tell: (finding: Finding) => void) {
    this.#vault = vault;
    this.#tell = tell;
  }

  async commit(core: VaultCore, stored: StoredCommit, place: Position): Promise<void> {
    this.commits += 1;
    const header = decodeCommitHeader(decodeSignedCommit(stored.commit).header);
    const row = core.registry.row(header.agentId);
    const where = `${whereOf(place)}, commit ${header.sequence} of agent ${row?.name ?? hex(header.agentId)}`;
    const agent = core.registry.certificate(header.agentId);
    if (agent === undefined || row === undefined)
      return this.#error('commit-invalid', 'its agent had not enrolled', where);
    const verified = this.#attempt('commit-invalid', where, () =>
      verifyCommit(stored.commit, { vaultId: this.#vault.descriptor.vaultId, agent }),
    );
    if (verified === undefined) return;

    const route = await routeOf(core, row.lineageId, header, verified.hash);
    if (route.type === 'unknown-parent')
      this.#error('chain-broken', 'it does not continue the chain before it', where);
    if (
      route.type === 'opens' &&
      core.registry.lines(header.agentId)?.history(route.historyId) === undefined
    )
      this.#error(
        'chain-broken',
        'it begins another history of its agent, and no event before it says so',
        where,
      );

    this.#attempt('receipt-invalid', where, () => {
      const receipt = verifyReceipt(stored.receipt, this.#vault.certificate);
      requireReceiptFor(receipt, header, verified.hash);
      if (!equalBytes(stored.leaf, commitLeaf(verified.hash, receipt.receivedAtMs)))
        this.#error('receipt-invalid', 'its leaf is for another commit', where);
    });

    if (verified.slots.some((slot) => slot.type === 'purged') && !precedesLoss(header, core.head))
      this.#error(
        'commit-invalid',
        'entries were taken out of it, and the log lost nothing since it was made',
        where,
      );

    const entries = verified.slots.flatMap((slot): Entry[] =>
      slot.type === 'entry' ? [slot.entry] : [],
    );
    const gathered = await gatherFacts(entries, core.factsOf(row.lineageId), 'strict');
    if (gathered.type === 'bad') this.#error('commit-invalid', gathered.why, where);
    if (gathered.type === 'missing') this.#missing(gathered.ids, where, core);
    if (gathered.type === 'facts') {
      const ids = [...gathered.facts.chunks.keys(), ...gathered.facts.pages.keys()].map((id) =>
        asChunkId(new Uint8Array(Buffer.from(id, 'latin1'))),
      );
      const rows = await core.items(ids);
      this.#missing(
        ids.filter((_, index) => rows[index] === undefined),
        where,
        core,
      );
    }
  }

  async event(core: VaultCore, stored: StoredEvent, place: Position): Promise<void> {
    const where = `${whereOf(place)}, leaf ${core.log.size}`;
    const event = decodeEventBody(stored.event);
    const { timeMs } = decodeLogLeaf(stored.leaf);
    if (!equalBytes(stored.leaf, eventLeaf(stored.event, timeMs)))
      this.#error('event-invalid', 'its leaf is for another event', where);
    if (event.type === 'chainForked') {
      // The collector's own observation: nobody signed it.
      if (core.registry.row(event.agentId) === undefined)
        this.#error('event-invalid', 'it tells of an agent that nobody expected', where);
      return;
    }
    try {
      const known = await admitEvent(core, this.#vault.descriptor, event);
      if (known !== undefined) this.#error('event-invalid', `it repeats leaf ${known}`, where);
    } catch (error) {
      if (!(error instanceof AliquotError)) throw error;
      this.#error('event-invalid', error.message, where);
    }
  }

  #missing(ids: readonly ChunkId[], where: string, core: VaultCore): void {
    // Damaged items are told on their own, with the versions that they concern.
    const lost = ids.filter((id) => !core.isDamaged(id));
    const [first] = lost;
    if (first === undefined) return;
    this.#error(
      'reference-missing',
      `it refers to ${lost.length} chunks or pages that its agent had not uploaded before, first ${hex(first)}`,
      where,
    );
  }

  #attempt<T>(code: FindingCode, where: string, run: () => T): T | undefined {
    try {
      return run();
    } catch (error) {
      if (!(error instanceof AliquotError)) throw error;
      this.#error(code, error.message, where);
      return undefined;
    }
  }

  #error(code: FindingCode, what: string, where: string): void {
    this.#tell({ code, severity: 'error', what, where, remedy: RESTORE });
  }
}

function whereOf({ pack, offset }: Position): string {
  return `pack ${pack}, byte ${offset}`;
}

/**
 * Names every version whose content needs one of the damaged items. Reads all commits again; only
 * after damage.
 */
export async function tellDamagedVersions(
  core: VaultCore,
  damaged: ReadonlySet<string>,
  tell: (finding: Finding) => void,
): Promise<void> {
  const everything = core.factsOf(NOBODY, async (ids) => ids.map(() => 'uploaded' as const));
  for (let leafIndex = 0; leafIndex < core.log.size; leafIndex += 1) {
    const { type, payload } = await core.leafRecord(leafIndex);
    if (type !== 'commit') continue;
    const signed = decodeSignedCommit(decodeStoredCommit(payload).commit);
    const header = decodeCommitHeader(signed.header);
    const agent = core.registry.row(header.agentId)?.name ?? hex(header.agentId);
    for (const slot of signed.slots) {
      if (slot.type !== 'entry') continue;
      const entry = decodeEntry(slot.bytes);
      const facts = await gatherFacts([entry], everything, 'lenient');
      if (facts.type !== 'facts' || !touches(facts.facts.chunks, damaged, entry, facts.facts.pages))
        continue;
      tell({
        code: 'version-damaged',
        severity: 'error',
        what: `a version captured ${new Date(entry.capturedAtMs).toISOString()} (${entry.size} bytes) is not whole`,
        where: `agent ${agent}, file ${hex(entry.fileId)}, commit ${header.sequence}`,
        remedy: 'back the file up again where it still exists; else put the packs back from a copy',
      });
    }
  }
}

const NOBODY = new Uint8Array(16) as import('@aliquot/proto').LineageId;

function touches(
  chunks: ReadonlyMap<string, number>,
  damaged: ReadonlySet<string>,
  entry: Entry,
  pages: ReadonlyMap<string, number>,
): boolean {
  const has = (id: string): boolean => damaged.has(id);
  if ([...chunks.keys()].some(has) || [...pages.keys()].some(has)) return true;
  // An unreadable page is left out of the facts: look at what the entry itself names.
  return entry.content.refs.some((ref) => has(Buffer.from(ref.id).toString('latin1')));
}
