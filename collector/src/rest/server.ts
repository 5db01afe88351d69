import { endWith } from '@aliquot/shared/durable/unexpected';
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import { z } from 'zod';
import { frameRecords } from '../api/record-stream.ts';
import { RestError, statusOf } from '../api/rest-error.ts';
import { HEADERS_MS, MAX_BODY_BYTES, REQUEST_MS } from '../limits.ts';
import { answerFrames, OCTETS } from './answer-frames.ts';
import { type RestContext, vaultOf } from './context.ts';
import { enrol } from './enrol.ts';
import { operatorRoutes } from './operator-routes.ts';
import { OperatorGate } from './operator-token.ts';
import { bytesOf } from './routes.ts';
import { INTERNAL, toRestError } from './to-rest-error.ts';
import { answerOnce, noRoute, takeEnrolBodies } from './unproved-requests.ts';

/** TLS material in PEM; without it the server speaks plain HTTP. */
export interface TlsFiles {
  readonly cert: Buffer;
  readonly key: Buffer;
}

const CHECKING_MS = 5_000;

const vaultPath = z.object({ vault: z.string() });
const agentPath = z.object({ vault: z.string(), agent: z.string() });

/**
 * The collector's HTTP interface: `/healthz`, `/livez` and `/metrics` for monitors, `/v1/enrol` for
 * agents with a bundle, `/v1/operator/…` for the `aliquot` command with the operator's token.
 * Requests are logged by route, never by URL or body: those name files and agents.
 */
export function buildServer(context: RestContext, tls: TlsFiles | undefined): FastifyInstance {
  const options = {
    logger: false,
    bodyLimit: MAX_BODY_BYTES,
    requestTimeout: REQUEST_MS,
    forceCloseConnections: true,
  } as const;
  const slow = { headersTimeout: HEADERS_MS, connectionsCheckingInterval: CHECKING_MS } as const;
  const app =
    tls === undefined
      ? Fastify({ ...options, http: slow })
      : (Fastify({
          ...options,
          https: { ...slow, ...tls, handshakeTimeout: HEADERS_MS },
        }) as unknown as FastifyInstance);
  app.addContentTypeParser(OCTETS, { parseAs: 'buffer' }, (_request, body, done) =>
    done(null, body),
  );
  app.setErrorHandler((error, request, reply) => answerError(context, error, request, reply));
  app.setNotFoundHandler((_request, reply) => noRoute(reply));
  const gate = new OperatorGate(context.store.adminTokenHash);
  answerOnce(app, context, gate);
  app.addHook('onResponse', (request, reply, done) => {
    const ms = Math.round(reply.elapsedTime);
    context.log.debug(
      { method: request.method, route: request.routeOptions.url, status: reply.statusCode, ms },
      'request',
    );
    done();
  });
  app.get('/healthz', async (request, reply) => {
    const codes = [
      ...new Set((await context.health.problems(request.headers.host)).map(({ code }) => code)),
    ];
    return reply
      .code(codes.length === 0 ? 200 : 503)
      .send({ status: codes.length === 0 ? 'ok' : 'degraded', codes });
  });
  // For supervisors that restart us when we hang: a full disk or an ending certificate is no reason
  // to, `/healthz` reports those.
  app.get('/livez', async () => ({ status: 'ok' }));
  app.register(async (scope) => enrolRoute(scope, context));
  app.register(async (scope) => metricsRoute(scope, context, gate));
  app.register(async (scope) => operatorScope(scope, context, gate), { prefix: '/v1/operator' });
  return app;
}

function enrolRoute(app: FastifyInstance, context: RestContext): void {
  takeEnrolBodies(app, context);
  app.post('/v1/enrol', async (request, reply) => {
    const answer = await enrol(context, bytesOf(request), request.raw.socket);
    return reply.type(OCTETS).send(Buffer.from(answer));
  });
}

/** Lets nobody but who shows the operator's token ask what `app` answers. */
function forOperators(app: FastifyInstance, context: RestContext, gate: OperatorGate): void {
  app.addHook('onRequest', async (request) => {
    if (gate.admits(request.headers.authorization)) {
      context.health.cameBy(request.headers.host);
      return;
    }
    throw new RestError(
      'REST_TOKEN',
      'the operator token is not the one of this collector: see admin.token in its data folder',
    );
  });
}

/** For Prometheus. Names of agents are in it, and how each of them is: for operators only. */
function metricsRoute(app: FastifyInstance, context: RestContext, gate: OperatorGate): void {
  forOperators(app, context, gate);
  app.get('/metrics', async (_request, reply) => {
    // Its library is loaded where somebody asks.
    const { exposition } = await import('../health/exposition.ts');
    const { type, text } = await exposition(context);
    return reply.type(type).send(text);
  });
}

function operatorScope(app: FastifyInstance, context: RestContext, gate: OperatorGate): void {
  forOperators(app, context, gate);
  operatorRoutes({
    ...{ app, context },
    vault: (request) => vaultOf(context, vaultPath.parse(request.params).vault),
    agent: (request) => agentPath.parse(request.params).agent,
    stream: (reply, records) =>
      answerFrames(
        reply,
        frameRecords(records, (error) => describeLate(context, error)),
      ),
  });
}

function answerError(
  context: RestContext,
  error: unknown,
  request: FastifyRequest,
  reply: FastifyReply,
): FastifyReply {
  const known = toRestError(error);
  const route = request.routeOptions.url;
  if (known === undefined) {
    context.log.error({ route, ...failureOf(error) }, 'request failed');
    endWith(error);
  }
  if (known !== undefined) context.log.warn({ route, code: known.code }, 'request refused');
  const { code, message } = known ?? INTERNAL;
  return reply.code(statusOf(code)).send({ code, message });
}

/** An error after the first byte went out: too late for a status. */
function describeLate(context: RestContext, error: unknown): { code: string; message: string } {
  const known = toRestError(error);
  if (known === undefined) {
    context.log.error(failureOf(error), 'answer broke off');
    endWith(error);
  }
  const { code, message } = known ?? INTERNAL;
  return { code, message };
}

/**
 * What the log may know of an error that nobody expected: never its own properties, which could
 * hold what was asked for.
 */
function failureOf(error: unknown): {
  readonly error: string;
  readonly stack?: string | undefined;
} {
  return error instanceof Error
    ? { error: `${error.name}: ${error.message}`, stack: error.stack }
    : { error: String(error) };
}
