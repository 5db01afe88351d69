import {
  type AgentId,
  decodeRetentionRules,
  decodeSettings,
  decodeSettingsBody,
  encodeRetentionRules,
  encodeSettings,
  type RetentionRules,
  type Settings,
  type SettingsOutcome,
} from '@aliquot/proto';
import { hex } from '@aliquot/shared/crypto/bytes';
import type { SetPolicy } from '../../retention/ruling.ts';
import { ranges, readKey } from './catalog-keys.ts';
import type { CatalogStore } from './catalog-store.ts';
import { RowReader, RowWriter } from './row.ts';

/** Settings that are there for an agent. */
export interface Offered {
  readonly settings: Settings;
  readonly sequence: number;
  readonly groups: readonly string[];
  /** Since when they are there: set, or (of those handed out) promoted. */
  readonly sinceMs: number;
  /** Of the event that set them. */
  readonly leafIndex: number;
}

/** What became of settings, as the agent says. */
export interface SettingsReply {
  readonly sequence: number;
  readonly outcome: SettingsOutcome;
  readonly code: string;
  /** For holders of the policy key. */
  readonly ephemeralKey: Uint8Array | undefined;
  readonly sealed: Uint8Array | undefined;
  readonly atMs: number;
}

/** What an agent last said of itself. */
export interface AgentSaid {
  /** Of the settings in force; 0: none from the desk. */
  readonly inForce: number;
  /** Name and version of its program. */
  readonly software: string;
  readonly reply: SettingsReply | undefined;
}

/** How an agent stands to the desk. */
export interface AgentDesk {
  /** Handed out to it. */
  readonly current: Offered | undefined;
  /** Handed out when it is promoted. */
  readonly waiting: Offered | undefined;
  readonly said: AgentSaid | undefined;
}

/** A policy as the catalog has it. */
export interface PolicyRow {
  /** Of the event that set it. */
  readonly leafIndex: number;
  /** What the time of that leaf counts as. */
  readonly setAtMs: number;
  readonly rules: RetentionRules | undefined;
}

const noSettings: AgentDesk = { current: undefined, waiting: undefined, said: undefined };

/**
 * What operators have set for agents, in memory: a mirror of rows, as `Registry` is, which it is a
 * part of.
 */
export class Desk {
  /** By revision. */
  readonly #policies = new Map<number, PolicyRow>();
  readonly #agents = new Map<string, AgentDesk>();
  #newest = 0;
  /** Every policy that was set, the oldest first. */
  policies: readonly SetPolicy[] = [];

  static async load(catalog: CatalogStore): Promise<Desk> {
    const desk = new Desk();
    for await (const [key, value] of catalog.scan(ranges.policies))
      desk.setPolicy(readKey.number(key), readPolicyRow(value));
    for await (const [key, value] of catalog.scan(ranges.settings))
      desk.offer(readKey.agent(key), readOffers(value));
    for await (const [key, value] of catalog.scan(ranges.said))
      desk.say(readKey.noteAgent(key), readSaid(value));
    return desk;
  }

  /** Revision of the newest policy; 0: none was set. */
  get newest(): number {
    return this.#newest;
  }

  /** The leaf of the event that set a policy. */
  policyLeaf(revision: number): number | undefined {
    return this.#policies.get(revision)?.leafIndex;
  }

  /** The rules of retention that are in force. */
  get rules(): RetentionRules | undefined {
    return this.#policies.get(this.#newest)?.rules;
  }

  /** They come in the order of their revisions. */
  setPolicy(revision: number, row: PolicyRow): void {
    this.#policies.set(revision, row);
    this.#newest = Math.max(this.#newest, revision);
    const { setAtMs, rules } = row;
    const set = { revision, setAtMs, rules: rules?.rules ?? [], grace: rules?.grace };
    this.policies = [...this.policies, set];
  }

  of(agentId: AgentId): AgentDesk {
    return this.#agents.get(hex(agentId)) ?? noSettings;
  }

  offer(agentId: AgentId, offers: Pick<AgentDesk, 'current' | 'waiting'>): void {
    this.#agents.set(hex(agentId), { ...this.of(agentId), ...offers });
  }

  say(agentId: AgentId, said: AgentSaid): void {
    this.#agents.set(hex(agentId), { ...this.of(agentId), said });
  }

  /** Every agent for which something waits, with what waits. */
  waiting(): { readonly agent: string; readonly desk: AgentDesk; readonly waiting: Offered }[] {
    return [...this.#agents].flatMap(([agent, desk]) =>
      desk.waiting === undefined ? [] : [{ agent, desk, waiting: desk.waiting }],
    );
  }
}

/** A policy as a row. */
export function policyRow({ leafIndex, setAtMs, rules }: PolicyRow): Buffer {
  const encoded = rules === undefined ? NOTHING : encodeRetentionRules(rules);
  return new RowWriter().u64(leafIndex).u64(setAtMs).blob(encoded).finish();
}

const NOTHING = new Uint8Array(0);

function readPolicyRow(value: Uint8Array): PolicyRow {
  const row = new RowReader(value);
  const [leafIndex, setAtMs, encoded] = [row.u64(), row.u64(), row.blob()];
  const rules = encoded.length === 0 ? undefined : decodeRetentionRules(encoded);
  return { leafIndex, setAtMs, rules };
}

/** What an event `settingsSet` offers. */
export function offered(settings: Settings, leafIndex: number, sinceMs: number): Offered {
  const { sequence, groups } = decodeSettingsBody(settings.settings.body);
  return { settings, sequence, groups, sinceMs, leafIndex };
}

/** The offers of one agent as a row. */
export function offersRow({ current, waiting }: Pick<AgentDesk, 'current' | 'waiting'>): Buffer {
  const row = new RowWriter();
  for (const one of [current, waiting]) {
    if (one === undefined) row.u8(0);
    else row.u8(1).u64(one.leafIndex).u64(one.sinceMs).blob(encodeSettings(one.settings));
  }
  return row.finish();
}

function readOffers(value: Uint8Array): Pick<AgentDesk, 'current' | 'waiting'> {
  const row = new RowReader(value);
  const one = (): Offered | undefined => {
    if (row.u8() === 0) return undefined;
    const [leafIndex, sinceMs] = [row.u64(), row.u64()];
    return offered(decodeSettings(row.blob()), leafIndex, sinceMs);
  };
  return { current: one(), waiting: one() };
}

const outcomes: readonly SettingsOutcome[] = ['applied', 'refused', 'cannot'];

/** What an agent said, as a note. */
export function saidRow({ inForce, software, reply }: AgentSaid): Buffer {
  const row = new RowWriter().u64(inForce).text(software);
  if (reply === undefined) return row.u8(0).finish();
  row
    .u8(1)
    .u64(reply.sequence)
    .u8(outcomes.indexOf(reply.outcome))
    .text(reply.code)
    .u64(reply.atMs);
  return row
    .blob(reply.ephemeralKey ?? new Uint8Array(0))
    .blob(reply.sealed ?? new Uint8Array(0))
    .finish();
}

function readSaid(value: Uint8Array): AgentSaid {
  const row = new RowReader(value);
  const said = { inForce: row.u64(), software: row.text() };
  if (row.u8() === 0) return { ...said, reply: undefined };
  const [sequence, outcome, code, atMs] = [
    row.u64(),
    outcomes[row.u8()] ?? 'refused',
    row.text(),
    row.u64(),
  ];
  const some = (bytes: Uint8Array): Uint8Array | undefined =>
    bytes.length === 0 ? undefined : bytes;
  const [ephemeralKey, sealed] = [some(row.blob()), some(row.blob())];
  return { ...said, reply: { sequence, outcome, code, atMs, ephemeralKey, sealed } };
}
