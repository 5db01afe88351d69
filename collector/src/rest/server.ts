import { MAX_CARRIED_PART_BYTES } from '@aliquot/proto';
import { hex } from '@aliquot/shared/crypto/bytes';
import { endWith } from '@aliquot/shared/durable/unexpected';
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import { z } from 'zod';
import { MAX_DECISIONS_BYTES } from '../api/decisions.ts';
import { logPartQuery } from '../api/log-part.ts';
import { type FramedRecords, frameRecords } from '../api/record-stream.ts';
import { RestError, statusOf } from '../api/rest-error.ts';
import { takePart } from '../carry/part.ts';
import { carriedReceipts } from '../carry/receipts.ts';
import { ContentReads } from '../ingest/content-reads.ts';
import { HEADERS_MS, MAX_BODY_BYTES, MAX_POLICY_BODY_BYTES, REQUEST_MS } from '../limits.ts';
import type { VaultStore } from '../store/vault-store.ts';
import { addressesAnswer, setAddresses } from './addresses.ts';
import {
  acknowledgeProblems,
  agentLost,
  agentsAnswer,
  expectAgents,
  filesGone,
  revokeAgent,
} from './agents.ts';
import { answerFrames, OCTETS } from './answer-frames.ts';
import { confirmClock, correctClock } from './clock.ts';
import { type RestContext, vaultOf } from './context.ts';
import { applyDecisions, decisionRecords } from './decisions.ts';
import { diagnoseAgent } from './diagnosis.ts';
import { enrol } from './enrol.ts';
import { decideFork } from './forks.ts';
import { gcAnswer, gcRecords, pauseGc } from './gc.ts';
import { addGroup, approveAgent, endGroup } from './groups.ts';
import {
  everyVersionRecords,
  itemRecords,
  nameRecords,
  stateRecords,
  versionRecords,
} from './history.ts';
import { holdRoutes } from './holds.ts';
import { logAnswer, openEpoch } from './log.ts';
import { logProofsAnswer } from './log-proofs.ts';
import { OperatorGate } from './operator-token.ts';
import { policyAnswer, promoteSettings, setPolicy } from './policy.ts';
import { commitRecords, goneAnswer, leafRecords, policiesAnswer } from './proofs.ts';
import {
  keptFilesAnswer,
  publishRelease,
  releasesAnswer,
  removeRelease,
  takeReleasePart,
} from './releases.ts';
import { memberRecords, resultRecords, resultVersionRecords } from './results.ts';
import { retentionRoutes } from './retention.ts';
import { INTERNAL, toRestError } from './to-rest-error.ts';
import { answerOnce, noRoute, takeEnrolBodies } from './unproved-requests.ts';
import { addVault, collectorAnswer, statsAnswer } from './vaults.ts';
import { versionByIdRecords } from './version-by-id.ts';

/** TLS material in PEM; without it the server speaks plain HTTP. */
export interface TlsFiles {
  readonly cert: Buffer;
  readonly key: Buffer;
}

const CHECKING_MS = 5_000;

const vaultPath = z.object({ vault: z.string() });
const agentPath = z.object({ vault: z.string(), agent: z.string() });
const groupPath = z.object({ vault: z.string(), group: z.string() });
const filePath = z.object({ vault: z.string(), agent: z.string(), file: z.string() });
const resultPath = z.object({ vault: z.string(), agent: z.string(), result: z.string() });
/** `?ended=accept`: an operator lets in what an agent that was revoked or replaced had signed. */
const carryQuery = z
  .object({ ended: z.literal('accept').optional() })
  .transform(({ ended }) => ({ acceptEnded: ended === 'accept' }));
const versionPath = z.object({
  vault: z.string(),
  agent: z.string(),
  version: z.string().regex(/^[0-9a-f]{4,16}(\.\d{1,7})?$/),
});
const policyQuery = z.object({ revision: z.coerce.number().int().positive().optional() });
/** `?doubted=yes`: the items did not prove when they came. */
const itemsQuery = z
  .object({ doubted: z.literal('yes').optional() })
  .transform(({ doubted }) => doubted === 'yes');
const atQuery = z.object({ at: z.coerce.number().int().nonnegative().optional() });

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
  app.register(async (scope) => operatorRoutes(scope, context, gate), { prefix: '/v1/operator' });
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

function operatorRoutes(app: FastifyInstance, context: RestContext, gate: OperatorGate): void {
  forOperators(app, context, gate);
  const vault = (request: FastifyRequest) =>
    vaultOf(context, vaultPath.parse(request.params).vault);
  const stream = (reply: FastifyReply, records: AsyncIterable<Uint8Array | FramedRecords>) =>
    answerFrames(
      reply,
      frameRecords(records, (error) => describeLate(context, error)),
    );

  app.get('/collector', async () => collectorAnswer(context));
  app.post('/clock/confirm', async () => confirmClock(context));
  app.post('/vaults', async (request) => addVault(context, request.body));
  app.get('/vaults/:vault/stats', async (request) => statsAnswer(context, vault(request)));
  app.get('/vaults/:vault/agents', async (request) =>
    agentsAnswer(context, vault(request), request.headers.host),
  );
  app.post('/vaults/:vault/agents', async (request) =>
    expectAgents(context, vault(request), request.body),
  );
  app.post('/vaults/:vault/groups', async (request) =>
    addGroup(context, vault(request), request.body),
  );
  app.post('/vaults/:vault/groups/:group/end', async (request) =>
    endGroup(context, vault(request), groupPath.parse(request.params).group),
  );
  app.post('/vaults/:vault/approvals', async (request) =>
    approveAgent(context, vault(request), request.body),
  );
  app.post('/vaults/:vault/agents/:agent/revoke', async (request) =>
    revokeAgent(context, vault(request), agentPath.parse(request.params).agent, request.body),
  );
  app.post('/vaults/:vault/agents/:agent/lost', async (request) =>
    agentLost(context, vault(request), agentPath.parse(request.params).agent, request.body),
  );
  app.post('/vaults/:vault/agents/:agent/acknowledge', async (request) =>
    acknowledgeProblems(context, vault(request), agentPath.parse(request.params).agent),
  );
  app.post('/vaults/:vault/agents/:agent/gone', async (request) =>
    filesGone(context, vault(request), agentPath.parse(request.params).agent, request.body),
  );
  app.post('/vaults/:vault/agents/:agent/fork', async (request) =>
    decideFork(context, vault(request), agentPath.parse(request.params).agent, request.body),
  );
  app.post('/vaults/:vault/agents/:agent/diagnosis', async (request) =>
    diagnoseAgent(context, vault(request), agentPath.parse(request.params).agent, request.body),
  );
  app.get('/vaults/:vault/agents/:agent/state', async (request, reply) =>
    stream(
      reply,
      stateRecords(
        vault(request),
        agentPath.parse(request.params).agent,
        atQuery.parse(request.query).at,
      ),
    ),
  );
  app.get('/vaults/:vault/agents/:agent/commits', async (request, reply) =>
    stream(
      reply,
      commitRecords(
        vault(request),
        agentPath.parse(request.params).agent,
        logPartQuery.parse(request.query),
      ),
    ),
  );
  app.get('/vaults/:vault/gc', async (request) => gcAnswer(vault(request)));
  app.post('/vaults/:vault/gc', async (request, reply) =>
    stream(reply, gcRecords(context, vault(request), request.body)),
  );
  app.post('/vaults/:vault/gc/pause', async (request) =>
    pauseGc(context, vault(request), request.body),
  );
  app.get('/vaults/:vault/log/policies', async (request) =>
    policiesAnswer(vault(request), logPartQuery.parse(request.query)),
  );
  app.get('/vaults/:vault/agents/:agent/gone', async (request) =>
    goneAnswer(
      vault(request),
      agentPath.parse(request.params).agent,
      logPartQuery.parse(request.query),
    ),
  );
  app.get('/vaults/:vault/agents/:agent/versions', async (request, reply) =>
    stream(reply, everyVersionRecords(vault(request), agentPath.parse(request.params).agent)),
  );
  app.get('/vaults/:vault/agents/:agent/versions/:file', async (request, reply) => {
    const { agent, file } = filePath.parse(request.params);
    return stream(reply, versionRecords(vault(request), agent, file));
  });
  app.get('/vaults/:vault/agents/:agent/results', async (request, reply) =>
    stream(
      reply,
      resultRecords(
        vault(request),
        agentPath.parse(request.params).agent,
        atQuery.parse(request.query).at,
      ),
    ),
  );
  app.get('/vaults/:vault/agents/:agent/results/:result', async (request, reply) => {
    const { agent, result } = resultPath.parse(request.params);
    return stream(reply, resultVersionRecords(vault(request), agent, result));
  });
  app.get('/vaults/:vault/agents/:agent/results/:result/members', async (request, reply) => {
    const { agent, result } = resultPath.parse(request.params);
    const { at } = atQuery.parse(request.query);
    return stream(reply, memberRecords(vault(request), agent, result, at));
  });
  const reads = new Map<VaultStore, ContentReads>();
  const readsOf = (store: VaultStore): ContentReads => {
    const { log, timers } = context;
    const known =
      reads.get(store) ??
      new ContentReads('an operator', log.child({ vault: hex(store.descriptor.vaultId) }), timers);
    reads.set(store, known);
    return known;
  };
  app.addHook('onClose', () => {
    for (const one of reads.values()) one.end();
  });
  app.get('/vaults/:vault/agents/:agent/version/:version', async (request, reply) => {
    const { agent, version } = versionPath.parse(request.params);
    return stream(reply, versionByIdRecords(vault(request), agent, version));
  });
  app.post('/vaults/:vault/items', async (request, reply) => {
    const store = vault(request);
    return stream(
      reply,
      itemRecords(store, bytesOf(request), itemsQuery.parse(request.query), (items) =>
        readsOf(store).read(items),
      ),
    );
  });
  app.post('/vaults/:vault/names', async (request, reply) =>
    stream(reply, nameRecords(vault(request), request.body)),
  );
  app.post('/vaults/:vault/carry', { bodyLimit: MAX_CARRIED_PART_BYTES }, async (request) =>
    takePart(context, vault(request), bytesOf(request), carryQuery.parse(request.query)),
  );
  app.post('/vaults/:vault/carry/receipts', async (request, reply) =>
    stream(
      reply,
      await carriedReceipts(
        context,
        vault(request),
        bytesOf(request),
        carryQuery.parse(request.query),
      ),
    ),
  );
  app.get('/vaults/:vault/policy', async (request) =>
    policyAnswer(context, vault(request), policyQuery.parse(request.query).revision),
  );
  app.post('/vaults/:vault/policy', { bodyLimit: MAX_POLICY_BODY_BYTES }, async (request) =>
    setPolicy(context, vault(request), request.body),
  );
  app.post('/vaults/:vault/policy/promote', async (request) =>
    promoteSettings(context, vault(request), request.body),
  );
  holdRoutes(app, context, vault);
  retentionRoutes(app, context, {
    vault,
    stream,
    agent: (request) => agentPath.parse(request.params).agent,
  });
  app.get('/vaults/:vault/addresses', async (request) => addressesAnswer(context, vault(request)));
  app.post('/vaults/:vault/addresses', async (request) =>
    setAddresses(context, vault(request), request.body),
  );
  app.get('/releases', async () => releasesAnswer(context));
  app.post('/releases/kept', async (request) => keptFilesAnswer(context, request.body));
  app.post('/releases/parts', async (request) =>
    takeReleasePart(context, request.query, bytesOf(request)),
  );
  app.post('/releases', async (request) => publishRelease(context, request.body));
  app.post('/releases/remove', async (request) => removeRelease(context, request.body));
  app.get('/vaults/:vault/log', async (request) => logAnswer(context, vault(request)));
  app.post('/vaults/:vault/log/corrections', async (request) =>
    correctClock(context, vault(request), request.body),
  );
  app.get('/vaults/:vault/log/leaves', async (request, reply) =>
    stream(reply, leafRecords(vault(request), logPartQuery.parse(request.query))),
  );
  app.get('/vaults/:vault/log/decisions', async (request, reply) =>
    stream(reply, decisionRecords(vault(request), logPartQuery.parse(request.query))),
  );
  app.post('/vaults/:vault/log/decisions', { bodyLimit: MAX_DECISIONS_BYTES }, async (request) =>
    applyDecisions(context, vault(request), request.body),
  );
  app.post('/vaults/:vault/log/proofs', async (request) =>
    logProofsAnswer(context, vault(request), request.body),
  );
  app.post('/vaults/:vault/log/openings', async (request) =>
    openEpoch(context, vault(request), request.body),
  );
}

function bytesOf(request: FastifyRequest): Uint8Array {
  const { body } = request;
  if (!(body instanceof Uint8Array))
    throw new RestError('REST_BAD_REQUEST', `this endpoint takes ${OCTETS}`);
  return new Uint8Array(body.buffer, body.byteOffset, body.byteLength);
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
