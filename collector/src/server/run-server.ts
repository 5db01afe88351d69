import { hostname } from 'node:os';
import { resolve } from 'node:path';
import type { Server as TlsServer } from 'node:tls';
import { UsageError } from '@aliquot/shared/cli/errors';
import { formatInstant } from '@aliquot/shared/cli/format';
import type { Output } from '@aliquot/shared/cli/output';
import { hex } from '@aliquot/shared/crypto/bytes';
import { endOnUnexpected } from '@aliquot/shared/log-lines/last-words';
import { openLog, type ServiceLog } from '@aliquot/shared/log-lines/log';
import type { Logger } from 'pino';
import { type CommandContext, outputOf } from '../cli/context.ts';
import { HashPool } from '../hashing/hash-pool.ts';
import { Health, strangersTo } from '../health/health.ts';
import { type ClockHold, HeldClock } from '../held-clock.ts';
import { SessionHub } from '../ingest/hub.ts';
import { TrustedProxies } from '../ingest/network.ts';
import { systemTimers } from '../ingest/timers.ts';
import { FrontDoor } from '../ingest/unproved.ts';
import { attachIngest } from '../ingest/upgrade.ts';
import { buildServer } from '../rest/server.ts';
import { openCollector } from '../store/collector.ts';
import type { CollectorStore } from '../store/collector-store.ts';
import type { UnfitRecord } from '../store/errors.ts';
import { SOFTWARE } from '../version.ts';
import { Doors } from './doors.ts';
import { baseUrl, type ListenAddress, parseListen } from './listen.ts';
import { startMaintenance } from './maintenance.ts';
import { type MaintenancePlan, maintenancePlan } from './maintenance-file.ts';
import { ServedCertificate } from './served-certificate.ts';

const logLevels = ['silent', 'error', 'warn', 'info', 'debug'];

/** Options of `serve`, as they were given. */
export interface ServeOptions {
  readonly data: string;
  readonly listen: string;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly trustedProxy?: string;
}

/**
 * Serves until the process is asked to stop. Apart from `serve.ts`, so that no other command loads
 * a server's libraries.
 */
export async function serveCommand(context: CommandContext, options: ServeOptions): Promise<void> {
  const output = outputOf(context, { json: true });
  const tls = await ServedCertificate.open(context, options);
  const address = parseListen(options.listen, tls !== undefined);
  const proxies = new TrustedProxies(options.trustedProxy);
  const data = resolve(options.data);
  const plan = await maintenancePlan(context, data);
  context.leaveFolder?.();
  const { log, end } = logOf(context);
  const foresee = endOnUnexpected(log, end);
  try {
    await serve(context, { data, tls, address, proxies, plan, log, output });
    log.info('stopped');
  } finally {
    foresee();
    await end();
  }
}

interface Serving {
  readonly data: string;
  readonly tls: ServedCertificate | undefined;
  readonly address: ListenAddress;
  readonly proxies: TrustedProxies;
  readonly plan: MaintenancePlan;
  readonly log: Logger;
  readonly output: Output;
}

async function serve(
  context: CommandContext,
  { data, tls, address, proxies, plan, log, output }: Serving,
): Promise<void> {
  const { files, random, monotonicMs: elapsedMs } = context;
  const clock = new HeldClock(context.clock, elapsedMs);
  const hasher = new HashPool();
  const onUnfit = ({ type, ...facts }: UnfitRecord): void => {
    if (type === 'pack') log.error(facts, 'a pack is not all there: run aliquot fsck');
    else if (type === 'file') log.error(facts, 'a small file is damaged');
    else if (type === 'ended') log.warn(facts, 'the history had lost who ended: recorded again');
    else if (type === 'holds') log.warn(facts, 'the history had lost holds: recorded again');
    else if (type === 'purges') log.warn(facts, 'the history had lost purges: done again');
    else log.error(facts, 'a record cannot be applied and is passed over: run aliquot fsck');
  };
  const store = await openCollector(data, {
    ...{ files, clock, random, hasher, onUnfit },
    pace: { timers: systemTimers, elapsedMs },
  });
  try {
    tellAiling(store, log);
    clock.onChange((change, hold) => {
      const facts = instantsOf(hold);
      if (change === 'held') log.error(facts, HELD);
      else log.warn(facts, "the clock goes on with the machine's");
    });
    clock.startFrom(newestTimeIn(store));
    const hub = new SessionHub(clock);
    const door = new FrontDoor({
      log,
      timers: systemTimers,
      proxies,
      elapsedMs,
      utilization: loopUtilization(),
    });
    const health = new Health({
      files,
      store,
      clock,
      get certificate() {
        return tls?.files.cert;
      },
      get unusableCertificate() {
        return tls?.unusable;
      },
      strangers: () => strangersTo(store, hub),
      hold: () => clock.hold,
    });
    const served = {
      ...{ store, sessions: hub, health, clock, log, timers: systemTimers, door },
      software: SOFTWARE,
      confirmClock: () => clock.confirm(),
    };
    const app = buildServer(served, tls?.files);
    const cameBy = (host: string | undefined) => health.cameBy(host);
    const parts = { store, hub, clock, random, timers: systemTimers, log, cameBy };
    const ingest = attachIngest(app.server, parts, door);
    await app.ready();
    const doors = new Doors(() => door.front(app.server));
    try {
      // Before anybody can know that we listen, so that no signal finds us unprepared.
      const stopRequested = context.stopRequested();
      const port = await doors.listen(address);
      const leaveFiles = tls?.watch(app.server as unknown as TlsServer, systemTimers, log);
      const url = baseUrl(tls !== undefined, address.host, port, hostname());
      const endMaintenance = startMaintenance(served, plan, systemTimers);
      log.info(
        { url, collectorId: hex(store.collectorId), vaults: store.vaults().length },
        'listening',
      );
      await output.result({ event: 'listening', url });
      log.info({ signal: await stopRequested }, 'stopping');
      await endMaintenance();
      leaveFiles?.();
    } finally {
      doors.close();
      door.stop();
      await ingest.stop();
      app.server.closeAllConnections();
      await app.close();
    }
  } finally {
    await store.close();
    await hasher.close();
  }
}

/** Which part of the time between two calls the event loop worked. */
function loopUtilization(): () => number {
  let before = performance.eventLoopUtilization();
  return () => {
    const now = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(now, before);
    before = now;
    return utilization;
  };
}

/**
 * Names the vaults that are not served. Where none is, and nothing that comes over the network
 * would help, whoever starts us shall see it: throws what the first of them ails from.
 */
function tellAiling(store: CollectorStore, log: Logger): void {
  const ailing = store.ailing();
  const [first] = ailing;
  if (first === undefined) return;
  const isOfUse =
    store.vaults().length > 0 || ailing.some(({ error }) => error.code === 'STORE_VAULT_LOST');
  if (!isOfUse) throw first.error;
  for (const { id, error } of ailing)
    log.error({ vault: id, code: error.code, why: error.message }, 'a vault is not served');
}

const HELD =
  "the machine's clock jumped, so the time goes on from the last good one: see aliquot collector clock";

function instantsOf({ sinceMs, heldMs, machineMs }: ClockHold) {
  return {
    since: formatInstant(sinceMs),
    held: formatInstant(heldMs),
    machine: formatInstant(machineMs),
  };
}

/** The newest time that the store recorded: of a leaf, or of when an agent was heard. */
function newestTimeIn(store: CollectorStore): number | undefined {
  const times = store
    .vaults()
    .flatMap(({ log, register }) => [
      log.lastMs(),
      ...register.agents().map(({ lastSeenMs }) => lastSeenMs),
    ])
    .filter((time) => time !== undefined);
  return times.length === 0 ? undefined : times.reduce((most, time) => Math.max(most, time));
}

function logOf(context: CommandContext): ServiceLog {
  const level = context.environment.logLevel ?? 'info';
  if (!logLevels.includes(level))
    throw new UsageError(
      'USAGE_INVALID',
      `ALIQUOT_LOG_LEVEL cannot be "${level}"; it is one of ${logLevels.join(', ')}`,
    );
  return openLog({ level, clock: context.clock, ...context.log() });
}
