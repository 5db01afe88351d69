import { asAgentId, decodeCollectorAddressesBody } from '@aliquot/proto';
import { formatDuration, formatInstant } from '@aliquot/shared/cli/format';
import { fromHex, hex } from '@aliquot/shared/crypto/bytes';
import type { FilePort } from '@aliquot/shared/durable/file-port';
import { errnoOf } from '@aliquot/shared/durable/system-errors';
import type { Clock } from '@aliquot/shared/ports';
import type { CollectorProblem } from '../api/messages.ts';
import type { ClockHold } from '../held-clock.ts';
import type { Conduct, UnknownAgent } from '../ingest/conduct.ts';
import { MAX_KNOWN_HOSTS } from '../limits.ts';
import type { CollectorStore } from '../store/collector-store.ts';
import { CLOCK_TOLERANCE_MS } from './agent-problems.ts';
import { certificateProblems, hostOf } from './certificate.ts';
import { type DiskSpace, diskProblems, diskSpace } from './disk.ts';
import { maintenanceProblems, retentionProblems } from './retention-problems.ts';

/** Fewer clocks than this are no witness against the collector's own. */
const WITNESSES = 2;
const FRESH_MS = 24 * 3_600_000;
/** What every agent is looked at for is not looked for more often: anybody may ask. */
const AGAIN_MS = 1_000;

export interface HealthParts {
  readonly files: FilePort;
  readonly store: CollectorStore;
  readonly clock: Clock;
  /** PEM of the certificate that is served now; `undefined` without TLS. */
  readonly certificate: string | Buffer | undefined;
  /**
   * Why the certificate that is in the files now is not served, and since when; `undefined` while
   * it is.
   */
  readonly unusableCertificate?: { readonly message: string; readonly sinceMs: number } | undefined;
  /**
   * Agents that the authority certified and that are turned away because no vault here knows them.
   */
  readonly strangers: () => readonly UnknownAgent[];
  /** How the clock is held; `undefined` while it is the machine's. */
  readonly hold?: () => ClockHold | undefined;
}

/**
 * What is wrong with the collector itself, as far as it can see (P6). Asked for by operators and
 * monitors; nothing runs by itself.
 */
export class Health {
  readonly #parts: HealthParts;
  readonly #hosts = new Set<string>();
  #clocks: { readonly atMs: number; readonly problems: CollectorProblem[] } | undefined;

  constructor(parts: HealthParts) {
    this.#parts = parts;
  }

  /**
   * Gets the `Host` by which a proved agent or operator came: strangers must not be able to raise
   * an alarm.
   */
  cameBy(host: string | undefined): void {
    const name = hostOf(host);
    if (name === undefined || this.#parts.certificate === undefined) return;
    this.#hosts.delete(name);
    this.#hosts.add(name);
    for (const oldest of this.#hosts)
      if (this.#hosts.size > MAX_KNOWN_HOSTS) this.#hosts.delete(oldest);
  }

  /** The room of the disk; `undefined` where it does not answer, which is a problem of its own. */
  async disk(): Promise<DiskSpace | undefined> {
    const { files, store, clock } = this.#parts;
    try {
      return await diskSpace(files, store, clock.nowMs());
    } catch (error) {
      if (errnoOf(error) === undefined) throw error;
      return undefined;
    }
  }

  /** How the clock is held; `undefined` while it is the machine's. */
  get hold(): ClockHold | undefined {
    return this.#parts.hold?.();
  }

  /** Everything that is wrong, worst first. `host`: the name by which the caller reached us. */
  async problems(host?: string): Promise<CollectorProblem[]> {
    const { files, store, clock, certificate, unusableCertificate, strangers } = this.#parts;
    const nowMs = clock.nowMs();
    const asked = hostOf(host);
    const hosts = [...this.#hosts, ...toldToAgents(store), ...(asked === undefined ? [] : [asked])];
    return [
      ...store.ailing().map(({ id, error }) => ({
        code: 'vault-ailing',
        sinceMs: nowMs,
        message: `vault ${id} is not served: ${error.message}`,
      })),
      ...store
        .vaults()
        .flatMap(({ descriptor: { name, blind }, catalogSecretKey }) =>
          blind || catalogSecretKey !== undefined ? [] : [catalogKeyLost(name, nowMs)],
        ),
      ...(await diskProblems(files, store, nowMs)),
      ...(certificate === undefined ? [] : certificateProblems(certificate, hosts, nowMs)),
      ...(unusableCertificate === undefined
        ? []
        : [{ code: 'certificate-unusable', ...unusableCertificate }]),
      ...holdProblems(this.#parts.hold?.()),
      ...retentionProblems(store),
      ...maintenanceProblems(store),
      ...this.#clockProblems(nowMs),
      ...strangers().map(({ name, sinceMs, why }) => ({
        code: 'unknown-agent',
        sinceMs,
        message: `${name} was refused: ${why}`,
      })),
    ];
  }

  #clockProblems(nowMs: number): CollectorProblem[] {
    const known = this.#clocks;
    if (known !== undefined && Math.abs(nowMs - known.atMs) < AGAIN_MS) return known.problems;
    const problems = clockProblems(this.#parts.store, nowMs);
    this.#clocks = { atMs: nowMs, problems };
    return problems;
  }
}

function catalogKeyLost(name: string, nowMs: number): CollectorProblem {
  const message = `the catalog key of vault ${name} is lost here: hand it over with aliquot vault add`;
  return { code: 'catalog-key-lost', sinceMs: nowMs, message };
}

/**
 * Hosts that the authority announced to agents, where they judge the certificate by its name: a pin
 * needs none.
 */
function toldToAgents(store: CollectorStore): string[] {
  return store.vaults().flatMap((vault) => {
    const signed = vault.register.addresses();
    if (signed === undefined) return [];
    const { addresses } = decodeCollectorAddressesBody(signed.body);
    return addresses.flatMap(({ url, tlsPins }) =>
      tlsPins.length > 0 ? [] : (hostOf(new URL(url).host) ?? []),
    );
  });
}

/** Who is turned away and stands in no vault's list of agents. */
export function strangersTo(
  store: CollectorStore,
  hub: { readonly conduct: Conduct },
): UnknownAgent[] {
  // Only those that were refused are looked up: anybody may ask, and vaults may have thousands.
  const isKnown = ({ vaultId, agentId }: UnknownAgent): boolean =>
    store.vaults().some(({ descriptor, register }) => {
      const id = hex(descriptor.vaultId) === vaultId ? fromHex(agentId) : undefined;
      return id !== undefined && register.agentById(asAgentId(id)) !== undefined;
    });
  return hub.conduct.refused().filter((agent) => !isKnown(agent));
}

function holdProblems(hold: ClockHold | undefined): CollectorProblem[] {
  if (hold === undefined) return [];
  const { sinceMs, machineMs, heldMs } = hold;
  const message = `this machine's clock jumped to ${formatInstant(machineMs)}, so times go on from the last good one, ${formatInstant(heldMs)} now: set the clock, or if it is right, say so with \`aliquot collector clock --confirm\``;
  return [{ code: 'clock-held', sinceMs, message }];
}

/** Where most agents' clocks agree with each other against this one, this one is wrong. */
function clockProblems(store: CollectorStore, nowMs: number): CollectorProblem[] {
  const aheadMs = store
    .vaults()
    .flatMap((vault) => vault.register.agents())
    .flatMap(({ heartbeat, heartbeatAtMs = 0 }) =>
      heartbeat !== undefined && nowMs - heartbeatAtMs < FRESH_MS
        ? [heartbeatAtMs - heartbeat.timeMs]
        : [],
    )
    .sort((a, b) => a - b);
  const median = aheadMs[Math.floor((aheadMs.length - 1) / 2)];
  const other = aheadMs[Math.ceil((aheadMs.length - 1) / 2)];
  if (median === undefined || other === undefined || aheadMs.length < WITNESSES) return [];
  const least =
    Math.sign(median) === Math.sign(other) ? Math.min(Math.abs(median), Math.abs(other)) : 0;
  if (least <= CLOCK_TOLERANCE_MS) return [];
  const off = `${formatDuration(least)} ${median > 0 ? 'ahead' : 'behind'}`;
  const message = `this collector's clock is ${off} of most agents': set it by time servers (NTP)`;
  return [{ code: 'clock-off', sinceMs: nowMs, message }];
}
