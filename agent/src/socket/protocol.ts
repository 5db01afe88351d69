import { z } from 'zod';

/** One request is one line; nothing that a person types comes near this. */
export const LONGEST_LINE_BYTES = 1 << 20;

/** So many versions fit into such a line. */
export const VERSIONS_IN_AREQUEST = 10_000;

const text = z.string().min(1);

/**
 * What any user of this PC may ask: nothing that changes something, and nothing but what is on this
 * PC.
 */
const statusRequest = z.strictObject({
  op: z.literal('status'),
  /** Each result with its state. */
  results: z.boolean(),
  /**
   * With `results`: only those captured since then (ms since 1970), and those that are not safe.
   */
  sinceMs: z.number().int().min(0).optional(),
});
const pathsRequest = z.strictObject({
  op: z.literal('paths'),
  paths: z.array(text).min(1).max(1000),
  versions: z.boolean(),
});

/** What is in force here, and who said so. */
const settingsRequest = z.strictObject({ op: z.literal('settings') });

export const askSchema = z.discriminatedUnion('op', [statusRequest, pathsRequest, settingsRequest]);
export type AskRequest = z.output<typeof askSchema>;
export type PathsRequest = Extract<AskRequest, { op: 'paths' }>;

/**
 * What a command asks of the running service: the first and only line that it sends. Paths are
 * absolute.
 */
export const requestSchema = z.discriminatedUnion('op', [
  z.strictObject({
    op: z.literal('backup'),
    paths: z.array(text).min(1),
    exclude: z.array(text),
    offline: z.boolean(),
    dryRun: z.boolean(),
    /**
     * What is not there any more is gone indeed, even if that is all: a person says so. Absent: no.
     */
    acceptGone: z.boolean().optional(),
    /** Somebody watches: `progress` shall say how much there is in all. Absent: no. */
    totals: z.boolean().optional(),
  }),
  z.strictObject({ op: z.literal('flush') }),
  z.strictObject({ op: z.literal('queueExport'), file: text }),
  z.strictObject({ op: z.literal('queueImport'), file: text }),
  /** An encoded `Signed`: collector addresses, still to be verified. */
  z.strictObject({ op: z.literal('setAddresses'), addresses: z.base64().min(1) }),
  statusRequest,
  /**
   * A person has seen these of what a collector lost, by the `version` of the event `lost`: they
   * are shown no longer.
   */
  z.strictObject({
    op: z.literal('acknowledgeLost'),
    versions: z.array(z.number().int().min(0)).min(1).max(VERSIONS_IN_AREQUEST),
  }),
  /** A person has seen that these folders lost their cover. */
  z.strictObject({ op: z.literal('acknowledgeUncovered'), paths: z.array(text).min(1).max(1000) }),
  pathsRequest,
  /**
   * `logFile`: where the service's log is, for a process that has the folder open and is no
   * service.
   */
  z.strictObject({ op: z.literal('diagnose'), logFile: text.optional() }),
  settingsRequest,
  z.strictObject({
    op: z.literal('restore'),
    paths: z.array(text).min(1),
    /** Milliseconds since 1970; 0 for the newest state. */
    atMs: z.number().int().min(0),
    /** Undefined: beside the originals. */
    to: text.optional(),
  }),
]);

export type Request = z.output<typeof requestSchema>;
export type BackupRequest = Extract<Request, { op: 'backup' }>;
export type StatusRequest = Extract<Request, { op: 'status' }>;
export type SelfRestoreRequest = Extract<Request, { op: 'restore' }>;

/** The only other line that a command may send: the one who started it wants it to end (Ctrl-C). */
export const stopSchema = z.strictObject({ stop: z.literal(true) });

/**
 * Whether an operation ends when the command that asked for it goes away silently. Work that was
 * begun is finished: a terminal that closes, or a command that is killed, is nobody's wish to stop,
 * and what it said is not what matters. Only an answer needs somebody to hear it.
 */
export function endsWithItsCommand({ op }: { readonly op: string }): boolean {
  return op === 'status' || op === 'paths' || op === 'settings' || op === 'diagnose';
}

/** One line of an answer that a person or script sees; `event` names what it is. */
export interface AgentEvent {
  readonly event: string;
  readonly [field: string]: unknown;
}

/** Sends one event towards the person; resolves when there is room for more. */
export type Emit = (event: AgentEvent) => Promise<void>;

/** Carries out one request. Throws what the command should end with. */
export type Operation = (request: Request, emit: Emit, signal: AbortSignal) => Promise<void>;

/** The last line of every answer. */
export const endSchema = z.strictObject({
  end: z.strictObject({
    exit: z.union([z.literal(0), z.literal(1), z.literal(2), z.literal(3)]),
    code: z.string(),
    message: z.string(),
  }),
});

export type End = z.output<typeof endSchema>;
