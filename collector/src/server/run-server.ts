import type { Socket } from 'node:net';
import { hostname } from 'node:os';
import { resolve } from 'node:path';
import type { Server as TlsServer } from 'node:tls';
import { UsageError } from '@aliquot/shared/cli/errors';
import type { Output } from '@aliquot/shared/cli/output';
import { hex } from '@aliquot/shared/crypto/bytes';
import { errnoOf } from '@aliquot/shared/durable/system-errors';
import { endOnUnexpected } from '@aliquot/shared/log-lines/last-words';
import { openLog, type ServiceLog } from '@aliquot/shared/log-lines/log';
import type { FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import { CommandError } from '../cli/command-error.ts';
import { type CommandContext, outputOf } from '../cli/context.ts';
import { HashPool } from '../hashing/hash-pool.ts';
import { Health, strangersTo } from '../health/health.ts';
import { HandshakeGate } from '../ingest/handshake-gate.ts';
import { SessionHub } from '../ingest/hub.ts';
import { systemTimers } from '../ingest/timers.ts';
import { ConnectionGate } from '../ingest/unproved.ts';
import { attachIngest } from '../ingest/upgrade.ts';
import { buildServer } from '../rest/server.ts';
import { openCollector } from '../store/collector.ts';
import type { UnfitRecord } from '../store/errors.ts';
import { SOFTWARE } from '../version.ts';
import { baseUrl, type ListenAddress, parseListen } from './listen.ts';
import { ServedCertificate } from './served-certificate.ts';

const logLevels = ['silent', 'error', 'warn', 'info', 'debug'];

/** Options of `serve`, as they were given. */
export interface ServeOptions {
  readonly data: string;
  readonly listen: string;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
}

/**
 * Serves until the process is asked to stop. Apart from `serve.ts`, so that no other command loads
 * a server's libraries.
 */
export async function serveCommand(context: CommandContext, options: ServeOptions): Promise<void> {
  const output = outputOf(context, { json: true });
  const tls = await ServedCertificate.open(context, options);
  const address = parseListen(options.listen, tls !== undefined);
  const data = resolve(options.data);
  context.leaveFolder?.();
  const { log, end } = logOf(context);
  const foresee = endOnUnexpected(log, end);
  try {
    await serve(context, { data, tls, address, log, output });
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
  readonly log: Logger;
  readonly output: Output;
}

async function serve(
  context: CommandContext,
  { data, tls, address, log, output }: Serving,
): Promise<void> {
  const { files, clock, random } = context;
  const hasher = new HashPool();
  const onUnfit = ({ type, ...facts }: UnfitRecord): void => {
    if (type === 'pack') log.error(facts, 'a pack is not all there: run aliquot fsck');
    else log.error(facts, 'a record cannot be applied and is passed over: run aliquot fsck');
  };
  const store = await openCollector(data, { files, clock, random, hasher, onUnfit });
  try {
    const hub = new SessionHub(clock);
    const connections = new ConnectionGate(log);
    const known = (end: Socket) => connections.proved(end);
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
    });
    const app = buildServer(
      { store, sessions: hub, health, clock, log, timers: systemTimers, software: SOFTWARE, known },
      tls?.files,
    );
    const cameBy = (host: string | undefined) => health.cameBy(host);
    const parts = { store, hub, clock, random, timers: systemTimers, log, cameBy };
    const ingest = attachIngest(app.server, parts, new HandshakeGate(), connections);
    try {
      // Before anybody can know that we listen, so that no signal finds us unprepared.
      const stopRequested = context.stopRequested();
      const port = await listen(app, address);
      const leaveFiles = tls?.watch(app.server as unknown as TlsServer, systemTimers, log);
      const url = baseUrl(tls !== undefined, address.host, port, hostname());
      log.info(
        { url, collectorId: hex(store.collectorId), vaults: store.vaults().length },
        'listening',
      );
      await output.result({ event: 'listening', url });
      log.info({ signal: await stopRequested }, 'stopping');
      leaveFiles?.();
    } finally {
      await ingest.stop();
      await app.close();
    }
  } finally {
    await store.close();
    await hasher.close();
  }
}

async function listen(app: FastifyInstance, { host, port }: ListenAddress): Promise<number> {
  try {
    await app.listen({ host, port });
  } catch (cause) {
    const errno = errnoOf(cause);
    const where = `${host}:${port}`;
    if (errno === 'EADDRINUSE') {
      throw new CommandError(
        'SERVE_PORT',
        `cannot listen on ${where}: another program uses that port; end it, or choose another with --listen`,
        { cause },
      );
    }
    if (errno === 'EACCES')
      throw new CommandError(
        'SERVE_LISTEN',
        `cannot listen on ${where}: this user may not; choose a port above 1023`,
        { cause },
      );
    if (errno === 'EADDRNOTAVAIL' || errno === 'ENOTFOUND') {
      throw new CommandError(
        'SERVE_LISTEN',
        `cannot listen on ${where}: this machine has no such address; check --listen`,
        { cause },
      );
    }
    throw cause;
  }
  const bound = app.server.address();
  return typeof bound === 'object' && bound !== null ? bound.port : port;
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
