import { availableParallelism, freemem, release, totalmem, type } from 'node:os';
import { formatInstant } from '@aliquot/shared/cli/format';
import { hex } from '@aliquot/shared/crypto/bytes';
import { LOG_TAIL_BYTES } from '@aliquot/shared/log-lines/log-tail';
import type { Agent } from '../folder/agent.ts';
import { enrolmentOf } from '../identity/identity.ts';
import { fsckQueue } from '../queue/log/fsck.ts';
import type { AgentEvent } from '../socket/protocol.ts';
import { status } from '../status/status.ts';
import type { ServiceView } from '../status/stock.ts';
import { fsckIdentity } from '../uplink/fsck.ts';
import { type HiddenPath, Hider, hideSettings } from './hidden.ts';
import { hideLine } from './log-lines.ts';

/** What only the process knows that makes a diagnosis. */
export interface DiagnosisParts {
  /** The end of the log, as much as there is; undefined when nobody knows where it is. */
  readonly log: string | undefined;
  /** Whether the queue is proved, which reads all of it. */
  readonly fsck: boolean;
}

/** How many paths are listed one by one; of the others there are counts. */
const MOST_PATHS = 1000;
const SALT_BYTES = 32;

type Json = Readonly<Record<string, unknown>>;

/** A diagnosis: see `diagnosisOf` for what is in it. */
export interface Diagnosis extends Json {
  readonly log: {
    readonly known: boolean;
    readonly leftOut: number;
    readonly lines: readonly Json[];
  };
}

/**
 * How this agent is, for anyone who helps: versions, settings, status, counts, timings, the end of
 * the log, disk, clock, and what fsck finds. Names of files, folders, people and PCs are not in it,
 * and no content: paths are hidden (`Hider`), and every other text is a word of this program.
 */
export async function diagnosisOf(
  agent: Agent,
  view: ServiceView | undefined,
  parts: DiagnosisParts,
): Promise<Diagnosis> {
  const hider = new Hider(agent.random.bytes(SALT_BYTES));
  const { clock, identity, port, dataDir, random } = agent;
  const problems = new Problems(hider);
  let head: Json = {};
  const startedMs = clock.nowMs();
  await status(agent, view, { op: 'status', results: false }, async (event) => {
    if (event.event === 'status') head = statusShown(event);
    else problems.add(event);
  });
  const statusMs = clock.nowMs() - startedMs;
  const findings = parts.fsck
    ? await findingsOf([
        fsckIdentity(port, dataDir, false),
        fsckQueue({ port, dataDir, random, repair: false }),
      ])
    : null;
  const fsckMs = clock.nowMs() - startedMs - statusMs;
  return {
    diagnosis: 1,
    takenAt: formatInstant(startedMs),
    agentId: hex(enrolmentOf(identity).agentId),
    vaultId: hex(identity.descriptor.vaultId),
    versions: {
      agent: agent.software,
      node: process.versions.node,
      v8: process.versions.v8,
      openssl: process.versions.openssl,
      system: type(),
      release: release(),
      arch: process.arch,
    },
    settings: hideSettings(hider, agent.config ?? null),
    status: head,
    sources: agent.sources.now.map(({ root }) =>
      hider.path(Buffer.from(root, 'latin1').toString('utf8')),
    ),
    problemCounts: problems.counts,
    problems: problems.listed,
    timings: {
      statusMs,
      fsckMs,
      lastScanSeconds: scanSeconds(view),
      upSeconds: Math.round(process.uptime()),
    },
    process: {
      ...process.memoryUsage(),
      cpuSeconds: cpuSeconds(),
      processors: availableParallelism(),
      freeMemory: freemem(),
      totalMemory: totalmem(),
    },
    disk: { freeBytes: await port.freeBytes(dataDir) },
    clock: {
      now: formatInstant(clock.nowMs()),
      utcOffsetMinutes: -new Date(clock.nowMs()).getTimezoneOffset(),
      skewMs: agent.uplink.status().clockSkewMs ?? null,
    },
    fsck: findings,
    log: logShown(parts.log),
  };
}

/** Texts of a `status` event that are words of this program, or times. */
const statusWords = new Set([
  'service',
  'connection',
  'connectedSince',
  'nextAttempt',
  'lastScan',
  'safeAsOf',
  'since',
  'at',
  'oldest',
  'code',
]);

/**
 * A `status` event without names: those of the agent, its vault and collector, folders, and
 * sentences.
 */
function statusShown(value: object): Json {
  const shown: Record<string, unknown> = {};
  for (const [name, inner] of Object.entries(value)) {
    if (typeof inner === 'number' || typeof inner === 'boolean' || inner === null)
      shown[name] = inner;
    else if (typeof inner === 'string' && statusWords.has(name)) shown[name] = inner;
    else if (typeof inner === 'object' && !Array.isArray(inner)) shown[name] = statusShown(inner);
  }
  return shown;
}

/**
 * What is not protected: the first of them one by one, each path hidden, and how many there are of
 * each code.
 */
class Problems {
  readonly counts: Record<string, number> = {};
  readonly listed: (HiddenPath & { readonly code: string; readonly since: unknown })[] = [];
  readonly #hider: Hider;

  constructor(hider: Hider) {
    this.#hider = hider;
  }

  add({ event, path, code, since }: AgentEvent): void {
    if (event !== 'problem' || typeof path !== 'string' || typeof code !== 'string') return;
    this.counts[code] = (this.counts[code] ?? 0) + 1;
    if (this.listed.length < MOST_PATHS)
      this.listed.push({ ...this.#hider.path(path), code, since });
  }
}

async function findingsOf(
  all: readonly AsyncIterable<{ readonly code: string; readonly severity: string }>[],
): Promise<Json[]> {
  const found: Json[] = [];
  for (const findings of all)
    for await (const { code, severity } of findings) found.push({ code, severity });
  return found;
}

function logShown(log: string | undefined): Diagnosis['log'] {
  if (log === undefined) return { known: false, leftOut: 0, lines: [] };
  const lines = log
    .slice(-LOG_TAIL_BYTES)
    .split('\n')
    .filter((line) => line !== '');
  const shown = lines.map(hideLine).filter((line) => line !== undefined);
  return { known: true, leftOut: lines.length - shown.length, lines: shown };
}

function scanSeconds(view: ServiceView | undefined): number | null {
  return view?.lastScan === undefined
    ? null
    : Math.round((view.lastScan.endedMs - view.lastScan.beganMs) / 1000);
}

function cpuSeconds(): number {
  const { user, system } = process.cpuUsage();
  return Math.round((user + system) / 1e6);
}

/** The diagnosis as people read it: JSON, a line of the log on each line. */
export function diagnosisText({ log, ...rest }: Diagnosis): string {
  const { lines, ...about } = log;
  const head = JSON.stringify({ ...rest, log: about }, null, 2).slice(0, -' }\n}'.length - 1);
  const shown = lines.map((line) => `      ${JSON.stringify(line)}`).join(',\n');
  return `${head},\n    "lines": [\n${shown}\n    ]\n  }\n}\n`;
}
