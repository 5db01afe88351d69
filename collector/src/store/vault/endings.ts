import {
  type AgentId,
  decodeEventBody,
  type EventBody,
  encodeEventBody,
  FormatError,
  type GroupId,
  MAX_BOOK_EVENTS,
  MAX_EVENT_BOOK_BYTES,
  type VaultDescriptorBody,
} from '@aliquot/proto';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import { FileError } from '@aliquot/shared/durable/errors';
import { CertificateError } from '@aliquot/shared/keys/certificates';
import type { AgentRow } from '../catalog/catalog-rows.ts';
import { hasEnded } from '../catalog/refusal.ts';
import { hex, type Registry } from '../catalog/registry.ts';
import { StoreError } from '../errors.ts';
import type { VaultCore } from './core.ts';
import { type BookFile, readBook, writeBook } from './event-book.ts';
import { eventAt, isSigned, requireSaid } from './revocations.ts';

/** By which an agent, or the bundle of a group, ends for good. */
type EndingEvent = Extract<EventBody, { type: 'agentRevoked' | 'groupEnded' }>;

/** Events that end somebody, or let in who may have ended. */
const concerned: ReadonlySet<EventBody['type']> = new Set([
  'agentExpected',
  'agentEnrolled',
  'agentPending',
  'agentApproved',
  'agentRevoked',
  'groupAdded',
  'groupEnded',
]);

/** What stands in the file beside the events, and each event's tag and length. */
const BESIDE_EVENTS_BYTES = 64;
const EVENT_FIELD_BYTES = 4;

interface Kept {
  readonly event: EndingEvent;
  readonly bytes: Uint8Array;
}

/**
 * Which agents and groups of a vault ended for good, kept in a file beside packs and history: who
 * was revoked stays out when the history is put back to an older state (I-C18).
 *
 * It has what ended by the history, and what the history once said of that and has lost. Calls that
 * change something are jobs in the vault's queue.
 */
export class Endings {
  /** Why the file, or some of it, cannot be believed; it is then made again from the history. */
  readonly faults: readonly string[];
  readonly #file: BookFile;
  readonly #vault: VaultDescriptorBody;
  #kept: ReadonlyMap<string, Kept>;
  #mustWrite: boolean;

  private constructor(
    file: BookFile,
    vault: VaultDescriptorBody,
    kept: ReadonlyMap<string, Kept>,
    faults: readonly string[],
  ) {
    this.#file = file;
    this.#vault = vault;
    this.#kept = kept;
    this.faults = faults;
    this.#mustWrite = faults.length > 0;
  }

  /** Reads the file. Errors: `FILE_…`, where it cannot be read for now. */
  static async open(file: BookFile, vault: VaultDescriptorBody): Promise<Endings> {
    const { events, why } = await readBook(file, vault.vaultId);
    const faults = why === undefined ? [] : [why];
    const kept = new Map<string, Kept>();
    for (const bytes of events) {
      try {
        const event = endingIn(bytes, vault);
        kept.set(keyOf(event), { event, bytes });
      } catch (error) {
        if (!isUnbelievable(error)) throw error;
        faults.push(`${file.path} has what nobody said: ${error.message}`);
      }
    }
    return new Endings(file, vault, kept, faults);
  }

  /** What is kept here and has not ended by the history, of those that it knows. */
  lackedBy(registry: Registry): EndingEvent[] {
    return [...this.#kept.values()]
      .map(({ event }) => event)
      .filter((event) => {
        if (event.type === 'groupEnded') {
          const group = registry.group(event.groupId);
          return group !== undefined && group.end === undefined;
        }
        const row = registry.row(event.agentId);
        return row !== undefined && !hasEnded(row.state);
      });
  }

  /** What ended by the history and is not kept here. */
  async missing(core: VaultCore, renewed: ReadonlySet<string> = new Set()): Promise<EndingEvent[]> {
    const isMissing = (key: string): boolean => renewed.has(key) || !this.#kept.has(key);
    const missing: EndingEvent[] = [];
    for (const row of core.registry.rows())
      if (isShutOut(row) && isMissing(agentKey(row.agentId)))
        missing.push(await endingOf(core, row));
    for (const { groupId, end } of core.registry.groups())
      if (end !== undefined && isMissing(groupKey(groupId)))
        missing.push({ type: 'groupEnded', timeMs: end.timeMs, groupId });
    return missing;
  }

  /**
   * At a start, before anybody is served: records again what the history lacks, and keeps what only
   * the history has. Returns the leaves that were appended. Errors: `STORE_…`.
   */
  async start(core: VaultCore): Promise<readonly number[]> {
    const lacked = this.lackedBy(core.registry);
    for (const { event } of this.#kept.values())
      if (event.type === 'agentRevoked' && isSigned(event)) {
        const leaf = core.registry.row(event.agentId)?.endedLeaf;
        if (leaf !== undefined && !isSigned(await eventAt(core, leaf))) lacked.push(event);
      }
    const leaves = await appendAgain(core, lacked);
    await this.keep(core);
    return leaves;
  }

  /**
   * Behind events that were appended, before anybody hears of them: keeps who ended by them, and
   * ends whom they let in though it had ended. Returns the last leaf that was appended. Errors:
   * `STORE_…`.
   */
  async follow(core: VaultCore, events: readonly EventBody[]): Promise<number | undefined> {
    if (!events.some(({ type }) => concerned.has(type))) return undefined;
    const leaves = await appendAgain(core, this.lackedBy(core.registry));
    const signed = events.flatMap((event) =>
      event.type === 'agentRevoked' && isSigned(event) ? [keyOf(event)] : [],
    );
    const unsigned = signed.filter((key) => !isSigned(this.#kept.get(key)?.event));
    await this.keep(core, new Set(unsigned));
    return leaves.at(-1);
  }

  /**
   * Keeps what somebody signed of an agent that the history does not know: see `follow`. Errors:
   * `STORE_BAD_EVENT`, `CERT_…`, `STORE_FAILED`.
   */
  async foresee(core: VaultCore, event: EndingEvent): Promise<void> {
    const bytes = encodeEventBody(event);
    endingIn(bytes, this.#vault);
    const isKnown = event.type !== 'agentRevoked' || core.registry.row(event.agentId) !== undefined;
    if (isKnown || !isSigned(event))
      throw new StoreError('STORE_BAD_EVENT', 'this is no signed revocation of an unknown agent');
    const kept = new Map(this.#kept).set(keyOf(event), { event, bytes });
    if (kept.size > MAX_BOOK_EVENTS || sizeOf(kept) > MAX_EVENT_BOOK_BYTES)
      throw new StoreError('STORE_BAD_EVENT', 'no more endings can be kept of this vault');
    if (!isSigned(this.#kept.get(keyOf(event))?.event)) await this.#write(kept);
  }

  /**
   * Writes down what ended by the history. A vault in which more has ended than one file holds
   * leaves the rest to the history alone. Error: `STORE_FAILED`.
   */
  async keep(core: VaultCore, renewed?: ReadonlySet<string>): Promise<void> {
    const kept = new Map(this.#kept);
    let [size, changed] = [sizeOf(kept), this.#mustWrite];
    for (const event of await this.missing(core, renewed)) {
      const bytes = encodeEventBody(event);
      size += bytes.length + EVENT_FIELD_BYTES;
      if (kept.size >= MAX_BOOK_EVENTS || size > MAX_EVENT_BOOK_BYTES) break;
      kept.set(keyOf(event), { event, bytes });
      changed = true;
    }
    if (changed) await this.#write(kept);
  }

  async #write(kept: ReadonlyMap<string, Kept>): Promise<void> {
    const events = [...kept.values()].map(({ bytes }) => bytes);
    try {
      await writeBook(this.#file, { vaultId: this.#vault.vaultId, events });
    } catch (error) {
      if (!(error instanceof FileError)) throw error;
      // What was appended and is not kept here is dropped with it: nobody has heard of it.
      throw new StoreError('STORE_FAILED', error.message, { cause: error });
    }
    this.#kept = kept;
    this.#mustWrite = false;
  }
}

function sizeOf(kept: ReadonlyMap<string, Kept>): number {
  let size = BESIDE_EVENTS_BYTES;
  for (const { bytes } of kept.values()) size += bytes.length + EVENT_FIELD_BYTES;
  return size;
}

function endingIn(bytes: Uint8Array, vault: VaultDescriptorBody): EndingEvent {
  const event = decodeEventBody(bytes);
  if (event.type !== 'agentRevoked' && event.type !== 'groupEnded')
    throw new StoreError('STORE_BAD_EVENT', `nothing ends by ${event.type}`);
  if (event.type === 'agentRevoked') requireSaid(vault, event);
  return event;
}

function isUnbelievable(error: unknown): error is Error {
  return (
    error instanceof FormatError ||
    error instanceof CertificateError ||
    (error instanceof StoreError && error.code === 'STORE_BAD_EVENT')
  );
}

/**
 * At the times that they had: the machine's clock may not be trusted yet. Where nothing else was
 * lost, the log is then what it was.
 */
async function appendAgain(core: VaultCore, events: readonly EndingEvent[]): Promise<number[]> {
  const leaves: number[] = [];
  for (const event of events) leaves.push(await core.appendEvent(event, event.timeMs));
  return leaves;
}

/**
 * Whether this agent must stay out. Of a PC that was approved in the place of another nothing was
 * let in yet, so it never enrolled as it was: it waits again.
 */
function isShutOut({ state, approval, enrolledLeaf }: AgentRow): boolean {
  const waitsAgain = approval !== undefined && enrolledLeaf === undefined;
  return state === 'revoked' || (hasEnded(state) && !waitsAgain);
}

/** How an agent ended: as it was revoked, or as one whose place another took. */
async function endingOf(core: VaultCore, row: AgentRow): Promise<EndingEvent> {
  const { agentId, endedLeaf, endedAtMs = 0, endReason: reason } = row;
  const event = endedLeaf === undefined ? undefined : await eventAt(core, endedLeaf);
  return event?.type === 'agentRevoked' && equalBytes(event.agentId, agentId)
    ? event
    : { type: 'agentRevoked', timeMs: endedAtMs, agentId, reason };
}

function agentKey(agentId: AgentId): string {
  return `agent ${hex(agentId)}`;
}

function groupKey(groupId: GroupId): string {
  return `group ${hex(groupId)}`;
}

function keyOf(event: EndingEvent): string {
  return event.type === 'agentRevoked' ? agentKey(event.agentId) : groupKey(event.groupId);
}
