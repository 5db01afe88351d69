import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type ClientFrame,
  decodeReceiptBody,
  decodeServerFrame,
  decodeSigned,
  decodeTreeHeadBody,
  encodeCarriedFile,
  encodeClientFrame,
  encodeFrame,
  type ServerFrame,
  splitCarriedFile,
  splitFrame,
} from '@aliquot/proto';
import { carriedBytes } from '@aliquot/shared/carry/carried-file';
import { carriedBy, signCarried, signQuestion } from '@aliquot/shared/carry/statements';
import { hex, u64be } from '@aliquot/shared/crypto/bytes';
import { sha256 } from '@aliquot/shared/crypto/primitives';
import { nodeFiles } from '@aliquot/shared/durable/file-port';
import { issueEpochOpening } from '@aliquot/shared/keys/certificates';
import { verifyReceipt, verifyReceiptInclusion } from '@aliquot/shared/log/receipt';
import { systemRandom } from '@aliquot/shared/ports';
import type { FastifyInstance } from 'fastify';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type MadeCommit, SessionTestAgent, storedOf } from '../../testing/agent.ts';
import { Front } from '../../testing/front.ts';
import { type BroughtQueue, bringQueue } from '../operator/bring.ts';
import { buildServer } from '../rest/server.ts';

const TOKEN = 'test-operator-token-of-some-length';
let front: Front;
let app: FastifyInstance;
let url: string;
let folder: string;

beforeEach(async () => {
  front = await Front.open();
  folder = await mkdtemp(join(tmpdir(), 'aliquot-carry-'));
  ({ app, url } = await served(front));
});

afterEach(async () => {
  await app.close();
  await front.close();
  await rm(folder, { recursive: true, force: true });
});

async function served(of: Front): Promise<{ app: FastifyInstance; url: string }> {
  const store = new Proxy(of.store, {
    get: (target, name) => {
      if (name === 'adminTokenHash') return sha256(new Uint8Array(Buffer.from(TOKEN)));
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
  const server = buildServer(
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
  return { app: server, url: await server.listen({ port: 0, host: '127.0.0.1' }) };
}

const file = (name: string, size = 3000) => ({
  path: `/data/${name}`,
  bytes: systemRandom.bytes(size),
  chunkBytes: 1000,
});

/** Commits of an agent that nobody has yet, one after the other on its chain. */
function commitsOf(agent: SessionTestAgent, ...names: readonly string[]): MadeCommit[] {
  return names.map((name) => {
    const made = agent.commitOf([file(name)]);
    agent.sequence += 1;
    agent.predecessor = made.hash;
    agent.forkedFrom = undefined;
    return made;
  });
}

function questionOf(agent: SessionTestAgent): Uint8Array {
  const claim = {
    enrolment: agent.bundle.signedEnrolment,
    binding: agent.binding,
    software: 'test agent',
    chainId: agent.chainId,
    treeHead: agent.head && decodeTreeHeadBody(agent.head.signed.body).head,
    signedHead: agent.head?.signed,
    signedHeadCertificate: agent.head?.certificate,
    addressesRevision: 0,
    settingsSequence: 0,
  };
  return encodeFrame(encodeClientFrame(signQuestion(claim, agent.signKey)));
}

async function queueOf(
  agent: SessionTestAgent,
  commits: readonly MadeCommit[],
  more: readonly ClientFrame[] = [],
): Promise<string> {
  async function* frames(): AsyncGenerator<Uint8Array, void, void> {
    yield questionOf(agent);
    for (const [at, { items, bytes }] of commits.entries()) {
      const body = Buffer.concat(items.map(({ sealed }) => sealed));
      if (items.length > 0)
        yield encodeFrame(encodeClientFrame({ type: 'chunks', items: items.map(storedOf) }), body);
      yield encodeFrame(encodeClientFrame({ type: 'commit', requestId: at + 1 }), bytes);
    }
    for (const frame of more) yield encodeFrame(encodeClientFrame(frame));
  }
  const pieces: Uint8Array[] = [];
  for await (const piece of carriedBytes('queue', frames(), (digest) =>
    signCarried('queue', agent.signKey, digest),
  ))
    pieces.push(piece);
  const path = join(folder, 'q');
  await writeFile(path, Buffer.concat(pieces));
  return path;
}

/** What an agent knows by a session, or by receipts that it took in. */
const learnHead = async (agent: SessionTestAgent): Promise<void> =>
  agent.remember((await agent.open(front.connect().wire)).head);

const bring = (path: string, at = url, acceptEnded = false): Promise<BroughtQueue> =>
  bringQueue(
    {
      files: nodeFiles,
      random: systemRandom,
      endpoint: { url: at, token: TOKEN, tlsCa: undefined },
      demand: async () => undefined,
      acceptEnded,
    },
    path,
    join(folder, 'r'),
    () => undefined,
  );

/** The receipts' frames behind question and certificate, once the file's signature holds. */
async function receipts(): Promise<ServerFrame[]> {
  const { kind, frames, trailer } = splitCarriedFile(await readFile(join(folder, 'r')));
  expect(kind).toBe('receipts');
  expect(carriedBy('receipts', front.store.identity.publicKey, trailer)).toBe(true);
  expect(decodeSigned(frames[1] ?? new Uint8Array())).toEqual(front.vault.signedCertificate);
  return frames.slice(2).map((bytes) => decodeServerFrame(splitFrame(bytes).header));
}

describe('a carried queue at the collector', () => {
  it('I-C1 P5: gets a receipt for each commit, provable under one head that continues what the agent had seen', async () => {
    const agent = await front.agent('hplc-1');
    await agent.open(front.connect().wire);
    await agent.backUp([file('by the network')]);
    const commits = commitsOf(agent, 'a', 'b', 'c');
    expect(await bring(await queueOf(agent, commits))).toMatchObject({
      agent: 'hplc-1',
      commits: 3,
      accepted: 3,
      repeated: 0,
      stopped: undefined,
    });
    const [ready, ...given] = await receipts();
    if (ready?.type !== 'ready') throw new Error('no ready');
    expect(ready).toMatchObject({
      rolledBack: false,
      chainHead: { sequence: 4, hash: commits[2]?.hash },
    });
    expect(ready.consistency.length).toBeGreaterThan(0);
    const { head } = decodeTreeHeadBody(ready.head.body);
    expect(given.map(({ type }) => type)).toEqual(['receipt', 'receipt', 'receipt']);
    for (const [at, frame] of given.entries()) {
      if (frame.type !== 'receipt') throw new Error('no receipt');
      const receipt = verifyReceipt(frame.receipt, front.vault.certificate);
      expect(hex(receipt.commitHash)).toBe(hex(commits[at]?.hash ?? new Uint8Array()));
      verifyReceiptInclusion(receipt, head, frame.inclusion);
    }
    expect(front.vault.register.agentByName('hplc-1')).toMatchObject({ files: 4 });
  });

  it('may be brought twice: the receipts are the same, and nothing is stored twice', async () => {
    const agent = await front.agent('hplc-1');
    const path = await queueOf(agent, commitsOf(agent, 'a', 'b'));
    await bring(path);
    const first = (await receipts()).flatMap((frame) =>
      frame.type === 'receipt' ? [hex(frame.receipt.body)] : [],
    );
    const { chunks, commits } = front.vault.figures.stats();
    expect(await bring(path)).toMatchObject({ accepted: 2, repeated: 2 });
    expect(
      (await receipts()).flatMap((frame) =>
        frame.type === 'receipt' ? [hex(frame.receipt.body)] : [],
      ),
    ).toEqual(first);
    expect(front.vault.figures.stats()).toMatchObject({ chunks, commits });
  });

  it('a queue of several parts stops at the commit whose items nobody has, and the receipts cover what came before', async () => {
    const agent = await front.agent('hplc-1');
    const [first, second, third] = commitsOf(agent, 'a', 'b', 'c');
    if (first === undefined || second === undefined || third === undefined)
      throw new Error('too few');
    const path = await queueOf(agent, [first, { ...second, items: second.items.slice(1) }, third]);
    const brought = await bring(path);
    expect(brought).toMatchObject({ accepted: 1, commits: 3, stopped: { number: 2 } });
    expect(brought.stopped?.message).toContain(hex(second.items[0]?.id ?? new Uint8Array()));
    expect((await receipts()).filter(({ type }) => type === 'receipt')).toHaveLength(1);
    // Whole, it is taken.
    expect(await bring(await queueOf(agent, [first, second, third]))).toMatchObject({
      accepted: 3,
      repeated: 1,
    });
  });

  it('P4: whoever carries the file can neither add to it nor speak for another agent', async () => {
    const agent = await front.agent('hplc-1');
    const other = await front.agent('hplc-2');
    const commits = commitsOf(agent, 'a');
    const path = await queueOf(agent, commits);
    const split = splitCarriedFile(await readFile(path));
    await writeFile(
      path,
      encodeCarriedFile({ ...split, frames: [questionOf(other), ...split.frames.slice(1)] }),
    );
    await expect(bring(path)).rejects.toMatchObject({ code: 'CARRY_ALTERED' });
    // Signed by the other one, who has no business with these commits.
    await queueOf(other, commits);
    expect(await bring(path)).toMatchObject({ accepted: 0, stopped: { number: 1 } });
    const base = `/v1/operator/vaults/${hex(front.vault.descriptor.vaultId)}/carry`;
    const post = (path: string, payload: Buffer) =>
      app.inject({
        method: 'POST',
        url: base + path,
        payload,
        headers: { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/octet-stream' },
      });
    const asked = (frame: Uint8Array): Buffer =>
      Buffer.concat([Buffer.from([0, 0, frame.length >> 8, frame.length & 0xff]), frame]);
    await bring(await queueOf(agent, commits));
    const [, receipt] = await receipts();
    if (receipt?.type !== 'receipt') throw new Error('no receipt');
    const leaf = decodeReceiptBody(receipt.receipt.body).leafIndex;
    const foreign = await post('/receipts', Buffer.concat([asked(questionOf(other)), u64be(leaf)]));
    expect(foreign.body).toContain('is no commit of agent hplc-2');
    const forged = questionOf(agent);
    forged[forged.length - 1] = (forged[forged.length - 1] ?? 0) ^ 1;
    expect((await post('', asked(forged))).json()).toMatchObject({
      code: expect.stringMatching(/^REST_(CARRY_REFUSED|BAD_REQUEST)$/),
    });
    expect((await post('', Buffer.from([0, 0, 0, 0]))).json()).toMatchObject({
      code: 'REST_BAD_REQUEST',
    });
    expect((await post('', Buffer.alloc(0))).statusCode).toBe(400);
    expect(
      (await app.inject({ method: 'POST', url: base, payload: asked(forged) })).statusCode,
    ).toBe(401);
  });

  it('of a revoked agent, or of another vault, is refused in one line, and no receipts are written', async () => {
    const agent = await front.agent('hplc-1');
    const path = await queueOf(agent, commitsOf(agent, 'a'));
    const elsewhere = await Front.open();
    const other = await served(elsewhere);
    await expect(bring(path, other.url)).rejects.toMatchObject({
      code: 'CARRY_OTHER_VAULT',
      message: expect.stringContaining('hplc-1'),
    });
    await other.app.close();
    await elsewhere.close();
    const { agentId } = agent.bundle.enrolment;
    await front.vault.events.append({
      type: 'agentRevoked',
      timeMs: front.nowMs,
      agentId,
      reason: 'lost',
    });
    await expect(bring(path)).rejects.toMatchObject({
      code: 'REST_CARRY_REFUSED',
      message: expect.stringContaining('revoked'),
    });
    expect(await readdir(folder)).toEqual(['q']);
  });

  it.each(['revoked', 'replaced'] as const)(
    'P1 P4: of a %s agent is taken at the word of an operator, and held apart',
    async (state) => {
      const agent = await front.agent('hplc-1');
      const { agentId } = agent.bundle.enrolment;
      await bring(await queueOf(agent, commitsOf(agent, 'a')));
      await learnHead(agent);
      const path = await queueOf(agent, commitsOf(agent, 'b', 'c'));
      if (state === 'revoked')
        await front.vault.events.append({
          type: 'agentRevoked',
          timeMs: front.nowMs,
          agentId,
          reason: 'lost',
        });
      else await front.agent('hplc-1b', { replaces: agent });
      const refused = bring(path);
      await expect(refused).rejects.toMatchObject({
        code: 'REST_CARRY_REFUSED',
        message: expect.stringContaining('--accept-ended'),
      });
      expect(await bring(path, url, true)).toMatchObject({
        accepted: 2,
        repeated: 0,
        stopped: undefined,
      });
      expect(await bring(path, url, true)).toMatchObject({ accepted: 2, repeated: 2 });
      const record = front.vault.register.agentById(agentId);
      expect(record).toMatchObject({ state, files: 1, histories: [{ state: 'held', files: 2 }] });
      // Its session is refused as before.
      const { pair, wire } = front.connect();
      await expect(agent.open(wire)).rejects.toMatchObject({
        message: expect.stringMatching(state),
      });
      pair.wire.close();
      const branchId = record?.histories[0]?.branchId;
      if (branchId === undefined) throw new Error('nothing is held apart');
      await front.vault.events.append({
        type: 'forkDecided',
        timeMs: front.nowMs,
        agentId,
        branchId,
        decision: 'restored',
        name: '',
      });
      expect(front.vault.register.agentById(agentId)).toMatchObject({ files: 3, histories: [] });
      await front.restart();
      expect(front.vault.register.agentById(agentId)).toMatchObject({
        state,
        files: 3,
        histories: [],
      });
    },
  );

  it('P4: the word of an operator lets in no stranger, and nobody who never enrolled', async () => {
    const agent = await front.agent('hplc-1');
    const { agentId } = agent.bundle.enrolment;
    await front.vault.events.append({
      type: 'agentRevoked',
      timeMs: front.nowMs,
      agentId,
      reason: 'stolen',
    });
    const expected = new SessionTestAgent(await front.bundle('hplc-2'));
    const path = await queueOf(expected, commitsOf(expected, 'a'));
    await expect(bring(path, url, true)).rejects.toMatchObject({ code: 'REST_CARRY_REFUSED' });
    const forged = new SessionTestAgent(agent.bundle);
    await expect(
      bring(await queueOf(forged, commitsOf(forged, 'a')), url, true),
    ).rejects.toMatchObject({ code: 'REST_CARRY_REFUSED' });
    expect(front.vault.register.agentById(agentId)).toMatchObject({ files: 0, histories: [] });
  });

  it('I-A9: brings the answer to an epoch of the sweep, which nothing waits for then', async () => {
    const agent = await front.agent('hplc-1');
    await bring(await queueOf(agent, commitsOf(agent, 'a')));
    const gcEpoch = await front.vault.sweep.announceGcEpoch(
      agent.bundle.enrolment.lineageId,
      front.nowMs,
    );
    expect(
      front.vault.sweep.sweepWaitsFor(agent.bundle.enrolment.lineageId, gcEpoch),
    ).toMatchObject([{ agent: 'hplc-1' }]);
    await bring(await queueOf(agent, []));
    expect((await receipts())[0]).toMatchObject({ gcEpoch });
    await learnHead(agent);
    await bring(await queueOf(agent, [], [{ type: 'gcLearned', gcEpoch }]));
    expect(front.vault.sweep.sweepWaitsFor(agent.bundle.enrolment.lineageId, gcEpoch)).toEqual([]);
  });

  it('I-A9 P5: an answer of before the log was opened again is not heard, when its file is brought again', async () => {
    const agent = await front.agent('hplc-1');
    await bring(await queueOf(agent, commitsOf(agent, 'a')));
    const gcEpoch = await front.vault.sweep.announceGcEpoch(
      agent.bundle.enrolment.lineageId,
      front.nowMs,
    );
    await learnHead(agent);
    const answer: ClientFrame = { type: 'gcLearned', gcEpoch };
    const before = await queueOf(agent, [], [answer]);
    await bring(before);
    expect(front.vault.sweep.sweepWaitsFor(agent.bundle.enrolment.lineageId, gcEpoch)).toEqual([]);
    const base = front.vault.log.treeHead();
    const logEpoch = base.logEpoch + 1;
    const lost = [{ ...base, size: base.size + 3, root: systemRandom.bytes(32) }];
    const { vaultId } = front.vault.descriptor;
    const opening = issueEpochOpening(front.authority, {
      version: 1,
      vaultId,
      logEpoch,
      base,
      lost,
      approvedAtMs: front.nowMs,
    });
    await front.vault.events.append({ type: 'epochOpened', timeMs: front.nowMs, opening });
    expect(
      front.vault.sweep.sweepWaitsFor(agent.bundle.enrolment.lineageId, gcEpoch),
    ).toMatchObject([{ agent: 'hplc-1' }]);
    await bring(before);
    expect(
      front.vault.sweep.sweepWaitsFor(agent.bundle.enrolment.lineageId, gcEpoch),
    ).toMatchObject([{ agent: 'hplc-1' }]);
    await learnHead(agent);
    await bring(await queueOf(agent, [], [answer]));
    expect(front.vault.sweep.sweepWaitsFor(agent.bundle.enrolment.lineageId, gcEpoch)).toEqual([]);
  });

  it('P6: a queue of a PC that was put back is held apart, and its receipts say so', async () => {
    const agent = await front.agent('hplc-1');
    await bring(await queueOf(agent, commitsOf(agent, 'a')));
    const copy = agent.copy();
    await bring(await queueOf(agent, commitsOf(agent, 'b')));
    expect(await bring(await queueOf(copy, commitsOf(copy, 'c')))).toMatchObject({ accepted: 1 });
    copy.fork();
    await bring(await queueOf(copy, commitsOf(copy, 'd')));
    const [, notice] = await receipts();
    expect(notice).toMatchObject({ type: 'notice', code: 'chain-held' });
    expect(front.vault.register.agentByName('hplc-1')?.histories).toMatchObject([
      { state: 'held', files: 2 },
    ]);
  });
});
