import { decodeEnrolAnswer, encodeEnrolRequest, encodeSigned } from '@aliquot/proto';
import { hex } from '@aliquot/shared/crypto/bytes';
import { sha256 } from '@aliquot/shared/crypto/primitives';
import {
  issueEpochOpening,
  verifyAgent,
  verifyEnrolAnswer,
} from '@aliquot/shared/keys/certificates';
import { systemRandom } from '@aliquot/shared/ports';
import type { FastifyInstance } from 'fastify';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SessionTestAgent } from '../../testing/agent.ts';
import { Front } from '../../testing/front.ts';
import { toBase64 } from '../api/base64.ts';
import { decodeItem, readRecords } from '../api/record-stream.ts';
import { buildServer } from './server.ts';

const TOKEN = 'test-operator-token-of-some-length';
const OCTETS = 'application/octet-stream';
let front: Front;
let app: FastifyInstance;

function serverOf(of: Front): FastifyInstance {
  const store = new Proxy(of.store, {
    get: (target, name) =>
      name === 'adminTokenHash' ? sha256(new Uint8Array(Buffer.from(TOKEN))) : bound(target, name),
  });
  return buildServer(
    {
      store,
      sessions: of.hub,
      health: of.health,
      clock: of.clock,
      log: of.log,
      timers: of.timers,
      software: 'test',
    },
    undefined,
  );
}

function bound(target: object, name: string | symbol): unknown {
  const value: unknown = Reflect.get(target, name, target);
  return typeof value === 'function' ? value.bind(target) : value;
}

beforeEach(async () => {
  front = await Front.open();
  app = serverOf(front);
});

afterEach(async () => {
  await app.close();
  await front.close();
});

const AUTHORIZATION = `Bearer ${TOKEN}`;
const vaultUrl = () => `/v1/operator/vaults/${hex(front.vault.descriptor.vaultId)}`;
const operator = (method: 'GET' | 'POST', url: string, payload?: object | Buffer, type?: string) =>
  app.inject({
    method,
    url,
    headers: { authorization: AUTHORIZATION, ...(type ? { 'content-type': type } : {}) },
    ...(payload ? { payload } : {}),
  });
const enrol = (agent: SessionTestAgent) =>
  app.inject({
    method: 'POST',
    url: '/v1/enrol',
    headers: { 'content-type': OCTETS },
    payload: Buffer.from(agent.enrolRequest()),
  });

async function records(payload: Buffer): Promise<Uint8Array[]> {
  async function* once() {
    yield new Uint8Array(payload);
  }
  const all: Uint8Array[] = [];
  for await (const record of readRecords(once())) all.push(record);
  return all;
}

describe('the door for operators', () => {
  it('is open only with the token; monitors need none', async () => {
    expect((await app.inject({ url: '/healthz' })).json()).toMatchObject({ status: 'ok' });
    for (const headers of [{}, { authorization: 'Bearer wrong' }, { authorization: TOKEN }]) {
      for (const url of ['/v1/operator/collector', `${vaultUrl()}/agents`, `${vaultUrl()}/log`]) {
        const answer = await app.inject({ url, headers });
        expect(answer.statusCode).toBe(401);
        expect(answer.json()).toMatchObject({ code: 'REST_TOKEN' });
      }
    }
    expect((await operator('GET', '/v1/operator/collector')).json()).toMatchObject({
      name: 'test',
      vaults: [{ name: 'lab', blind: false }],
    });
  });

  it('answers what it does not know with a code', async () => {
    expect((await operator('GET', '/v1/nothing')).json()).toMatchObject({ code: 'REST_NO_ROUTE' });
    expect(
      (await operator('GET', `/v1/operator/vaults/${'0'.repeat(32)}/stats`)).json(),
    ).toMatchObject({ code: 'REST_VAULT_UNKNOWN' });
    expect((await operator('GET', '/v1/operator/vaults/xyz/stats')).json()).toMatchObject({
      code: 'REST_VAULT_UNKNOWN',
    });
    const unknown = await operator('POST', `${vaultUrl()}/agents/${'0'.repeat(32)}/revoke`, {
      reason: 'x',
    });
    expect(unknown.json()).toMatchObject({ code: 'REST_AGENT_UNKNOWN' });
  });

  it('refuses malformed and oversized bodies', async () => {
    expect(
      (await operator('POST', '/v1/operator/vaults', { descriptor: 'x!' })).json(),
    ).toMatchObject({ code: 'REST_BAD_REQUEST' });
    expect(
      (await operator('POST', '/v1/operator/vaults', Buffer.from('{'), 'application/json')).json(),
    ).toMatchObject({
      code: 'REST_BAD_REQUEST',
    });
    expect(
      (await operator('POST', `${vaultUrl()}/items`, Buffer.alloc(2_000_000), OCTETS)).json(),
    ).toMatchObject({
      code: 'REST_TOO_LARGE',
    });
    const big = await app.inject({
      method: 'POST',
      url: '/v1/enrol',
      headers: { 'content-type': OCTETS },
      payload: Buffer.alloc(200_000),
    });
    expect(big.json()).toMatchObject({ code: 'REST_TOO_LARGE' });
  });

  it('streams items in the order of the question, and says what is missing', async () => {
    const agent = await front.agent('hplc-1');
    await agent.open(front.connect().wire);
    const made = agent.commitOf([
      { path: '/data/a', bytes: systemRandom.bytes(9000), chunkBytes: 4000 },
    ]);
    const slab = agent.slabOf(systemRandom.bytes(70), systemRandom.bytes(5000));
    await agent.upload([...made.items, slab]);
    await agent.ask((requestId) => ({ type: 'commit', requestId }), made.bytes);
    const foreign = systemRandom.bytes(32);
    const ids = [...made.items, slab].map((item) => item.id as Uint8Array).reverse();
    const body = Buffer.concat([...ids.slice(0, 1), foreign, ...ids.slice(1)]);
    const ask = async (query: string) =>
      (
        await records(
          (
            await operator('POST', `${vaultUrl()}/items${query}`, body, OCTETS)
          ).rawPayload,
        )
      ).map(decodeItem);
    const items = await ask('');
    expect(items.map(({ id, type }) => `${type} ${hex(id)}`)).toEqual([
      ...ids.slice(0, 1).map((id) => `item ${hex(id)}`),
      `missing ${hex(foreign)}`,
      ...ids.slice(1).map((id) => `item ${hex(id)}`),
    ]);
    expect(items[0]).toMatchObject({ kind: 'slab', bytes: Buffer.from(slab.sealed) });
    const told = (all: typeof items) =>
      all.map((item) => [item.type, hex(item.id), item.type === 'item' && hex(item.bytes)]).sort();
    expect(told(await ask('?doubted=yes'))).toEqual(told(items));
    // Anyone who reads is in the log, once however often he asks, and nothing of what he reads.
    await operator('POST', `${vaultUrl()}/items`, body, OCTETS);
    const reading = () =>
      front.logged
        .map((line) => JSON.parse(line))
        .filter(({ msg }) => /operator.* content/.test(msg));
    expect(reading()).toMatchObject([{ msg: 'an operator begins to read content' }]);
    front.timers.elapse();
    expect(reading()).toMatchObject([
      {},
      { msg: 'an operator has read content', items: 3 * (made.items.length + 2) },
    ]);
    expect(front.logged.join('')).not.toContain('/data/a');
    const odd = await operator('POST', `${vaultUrl()}/items`, Buffer.alloc(33), OCTETS);
    await expect(records(odd.rawPayload)).rejects.toMatchObject({
      code: 'STREAM_FAILED',
      message: expect.stringContaining('REST_BAD_REQUEST'),
    });
  });

  it('logs no path, no name of a file and no token', async () => {
    await operator('POST', `${vaultUrl()}/names`, {
      versionsOf: toBase64(Buffer.from('/data/patient-4711')),
    });
    await operator('GET', '/v1/operator/patient-4711');
    const log = front.logged.join('');
    expect(log).not.toContain('patient-4711');
    expect(log).not.toContain(toBase64(Buffer.from('/data/patient-4711')));
    expect(log).not.toContain(TOKEN);
  });

  it('takes an epoch opening only where the log stands', async () => {
    const base = front.vault.log.treeHead();
    const opening = (size: number) =>
      issueEpochOpening(front.authority, {
        version: 1,
        vaultId: front.vault.descriptor.vaultId,
        logEpoch: base.logEpoch + 1,
        base: { ...base, size },
        lost: [{ ...base, size: base.size + 9 }],
        approvedAtMs: front.nowMs,
      });
    const post = (signed: ReturnType<typeof opening>) =>
      operator('POST', `${vaultUrl()}/log/openings`, { opening: toBase64(encodeSigned(signed)) });
    expect((await post(opening(base.size + 5))).json()).toMatchObject({ code: 'REST_BAD_OPENING' });
    const forged = { ...opening(base.size), signature: systemRandom.bytes(64) };
    expect((await post(forged)).json()).toMatchObject({ code: 'REST_BAD_SIGNATURE' });
    const good = opening(base.size);
    const first = (await post(good)).json();
    expect(first).toEqual({ leafIndex: base.size });
    expect((await post(good)).json()).toEqual(first);
    expect(front.vault.log.treeHead().logEpoch).toBe(base.logEpoch + 1);
  });
});

describe('enrolment', () => {
  it('P4: ends the open session of the agent that it replaces', async () => {
    const old = await front.agent('hplc-1');
    const { done, wire } = front.connect();
    await old.open(wire);
    await old.backUp([{ path: '/data/a', bytes: new Uint8Array([1]) }]);
    expect(front.hub.size).toBe(1);
    const successor = new SessionTestAgent(await front.bundle('hplc-1', { replaces: old }));
    expect((await enrol(successor)).statusCode).toBe(200);
    expect((await old.next()).frame).toMatchObject({
      type: 'notice',
      code: 'session-ended',
      message: 'replaced',
    });
    await done;
    expect(front.hub.size).toBe(0);
  });

  it('gives a signed answer, and the same agent the same one however often it asks', async () => {
    const agent = new SessionTestAgent(await front.bundle('hplc-1'));
    const first = await enrol(agent);
    expect(first.statusCode).toBe(200);
    const certificate = verifyAgent(
      front.authority.publicKey,
      front.vault.descriptor.vaultId,
      agent.bundle.signedEnrolment,
      agent.binding,
    );
    const verified = verifyEnrolAnswer(
      front.authority.publicKey,
      certificate,
      agent.binding,
      decodeEnrolAnswer(new Uint8Array(first.rawPayload)),
    );
    expect(verified.answer.enrolledAtMs).toBe(front.nowMs);
    // Even long after the bundle's term: its PC may have crashed before it kept the first answer.
    front.nowMs += 90 * 24 * 3600 * 1000;
    const again = verifyEnrolAnswer(
      front.authority.publicKey,
      certificate,
      agent.binding,
      decodeEnrolAnswer(new Uint8Array((await enrol(agent)).rawPayload)),
    );
    expect(again.answer.enrolledAtMs).toBe(verified.answer.enrolledAtMs);
  });

  it('refuses the bundle to anybody else: it was used with other keys', async () => {
    const bundle = await front.bundle('hplc-1');
    await enrol(new SessionTestAgent(bundle));
    const thief = await enrol(new SessionTestAgent(bundle));
    expect(thief.statusCode).toBe(409);
    expect(thief.json()).toMatchObject({ code: 'ENROL_OTHER_KEYS' });
  });

  it('takes one of two PCs that use a bundle at the same moment', async () => {
    const bundle = await front.bundle('hplc-1');
    const answers = await Promise.all([
      enrol(new SessionTestAgent(bundle)),
      enrol(new SessionTestAgent(bundle)),
    ]);
    expect(answers.map((answer) => answer.statusCode).sort()).toEqual([200, 409]);
  });

  it('refuses an expired bundle that was never used', async () => {
    const agent = new SessionTestAgent(
      await front.bundle('hplc-1', { expiresAtMs: front.nowMs + 1000 }),
    );
    front.nowMs += 2000;
    const answer = await enrol(agent);
    expect(answer.statusCode).toBe(410);
    expect(answer.json()).toMatchObject({
      code: 'ENROL_EXPIRED',
      message: expect.stringContaining('hplc-1'),
    });
  });

  it('refuses a bundle that the collector does not expect, of another vault, or altered', async () => {
    expect(
      (await enrol(new SessionTestAgent(await front.bundle('hplc-1', { register: false })))).json(),
    ).toMatchObject({ code: 'ENROL_UNKNOWN' });
    const other = await Front.open();
    try {
      expect(
        (await enrol(new SessionTestAgent(await other.bundle('hplc-2')))).json(),
      ).toMatchObject({
        code: 'ENROL_UNKNOWN',
      });
    } finally {
      await other.close();
    }
    const agent = new SessionTestAgent(await front.bundle('hplc-3'));
    const forged = encodeEnrolRequest({
      version: 1,
      enrolment: agent.bundle.signedEnrolment,
      binding: { ...agent.binding, signature: systemRandom.bytes(64) },
    });
    const answer = await app.inject({
      method: 'POST',
      url: '/v1/enrol',
      headers: { 'content-type': OCTETS },
      payload: Buffer.from(forged),
    });
    expect(answer.json()).toMatchObject({ code: 'ENROL_UNKNOWN' });
    const garbage = await app.inject({
      method: 'POST',
      url: '/v1/enrol',
      headers: { 'content-type': OCTETS },
      payload: Buffer.from('garbage'),
    });
    expect(garbage.json()).toMatchObject({ code: 'REST_BAD_REQUEST' });
  });

  it('refuses a revoked agent', async () => {
    const agent = new SessionTestAgent(await front.bundle('hplc-1'));
    await front.vault.events.append({
      type: 'agentRevoked',
      timeMs: front.nowMs,
      agentId: agent.bundle.enrolment.agentId,
      reason: 'lost',
    });
    expect((await enrol(agent)).json()).toMatchObject({ code: 'ENROL_REVOKED' });
  });
});
