import { asChainId, asChunkId } from '@aliquot/proto';
import { hex } from '@aliquot/shared/crypto/bytes';
import { verifyGrowth } from '@aliquot/shared/log/proofs';
import { verifyHead, verifyReceipt, verifyReceiptInclusion } from '@aliquot/shared/log/receipt';
import { systemRandom } from '@aliquot/shared/ports';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { SessionTestAgent, storedOf } from '../../testing/agent.ts';
import { ending, Front } from '../../testing/front.ts';
import { CREDIT_BYTES } from '../limits.ts';
import { StoreError } from '../store/errors.ts';

let front: Front;

beforeEach(async () => {
  front = await Front.open();
});

afterEach(async () => {
  await front.close();
});

const text = (words: string) => new Uint8Array(Buffer.from(words));
const commitFrame = (requestId: number) => ({ type: 'commit', requestId }) as const;

describe('a session', () => {
  it('P1 P5: takes chunks and a commit, and answers with a receipt that proves itself', async () => {
    const agent = await front.agent('hplc-1');
    const { wire } = front.connect();
    const ready = await agent.open(wire);
    expect(ready).toMatchObject({
      creditBytes: CREDIT_BYTES,
      rolledBack: false,
      chainHead: undefined,
      openings: [],
    });
    const before = verifyHead(ready.head, front.vault.certificate).head;
    const answer = await agent.backUp([{ path: '/data/a.csv', bytes: text('result one') }]);
    const receipt = verifyReceipt(answer.receipt, front.vault.certificate);
    const { head } = verifyHead(answer.head, front.vault.certificate);
    verifyReceiptInclusion(receipt, head, answer.inclusion);
    verifyGrowth(before, head, answer.consistency);
    // The second receipt's proof begins where the first ended.
    const second = await agent.backUp([{ path: '/data/b.csv', bytes: text('result two') }]);
    verifyGrowth(head, verifyHead(second.head, front.vault.certificate).head, second.consistency);
  });

  it('P4: is refused when its agent was revoked while it was being let in', async () => {
    const agent = await front.agent('hplc-1');
    const { agentId } = agent.bundle.enrolment;
    const { vault } = front;
    const { chainHead } = vault.intake;
    vi.spyOn(vault.intake, 'chainHead').mockImplementationOnce(async (id, chainId) => {
      await vault.events.append({
        type: 'agentRevoked',
        timeMs: front.nowMs,
        agentId,
        reason: 'stolen',
      });
      front.hub.endAgent(vault.descriptor.vaultId, agentId, 'revoked');
      return chainHead(id, chainId);
    });
    const { wire, done } = front.connect();
    await agent.open(wire);
    expect((await agent.next()).frame).toMatchObject({ type: 'refused', code: 'revoked' });
    await done;
    expect(front.hub.size).toBe(0);
  });

  it('gives a repeated commit the same receipt, over another connection and after a restart too', async () => {
    const agent = await front.agent('hplc-1');
    await agent.open(front.connect().wire);
    const made = agent.commitOf([{ path: '/data/a.csv', bytes: text('once') }]);
    await agent.upload(made.items);
    const first = await agent.ask(commitFrame, made.bytes);
    const again = await agent.ask(commitFrame, made.bytes);
    await front.restart();
    await agent.open(front.connect().wire);
    const later = await agent.ask(commitFrame, made.bytes);
    for (const answer of [first, again, later]) {
      if (answer.type !== 'receipt' || first.type !== 'receipt') throw new Error(answer.type);
      expect(hex(answer.receipt.body)).toBe(hex(first.receipt.body));
    }
  });

  it('P4: calls "missing" whatever the agent itself has not uploaded, held or not', async () => {
    const one = await front.agent('one');
    const two = await front.agent('two');
    await one.open(front.connect().wire);
    await one.backUp([{ path: '/data/a', bytes: text('shared content') }]);
    await two.open(front.connect().wire);
    const made = two.commitOf([{ path: '/data/a', bytes: text('shared content') }]);
    const ids = made.items.map((item) => item.id);
    expect(await two.ask((requestId) => ({ type: 'have', requestId, ids }))).toMatchObject({
      missing: [0],
    });
    expect(await one.ask((requestId) => ({ type: 'have', requestId, ids }))).toMatchObject({
      missing: [],
    });
    expect(await two.ask(commitFrame, made.bytes)).toMatchObject({ type: 'commitMissing' });
    expect(await two.ask((requestId) => ({ type: 'fetch', requestId, ids }))).toMatchObject({
      type: 'chunkData',
      items: [],
      last: true,
      missing: ids,
    });
    await two.upload(made.items);
    expect(await two.ask(commitFrame, made.bytes)).toMatchObject({ type: 'receipt' });
  });

  it('sends fetched items in frames of bounded size, all of them, and names what is missing', async () => {
    const agent = await front.agent('hplc-1');
    await agent.open(front.connect().wire);
    const made = agent.commitOf([
      { path: '/data/big', bytes: systemRandom.bytes(5_000_000), chunkBytes: 300_000 },
    ]);
    const slab = agent.slabOf(systemRandom.bytes(70), systemRandom.bytes(5000));
    const sent = [...made.items, slab];
    await agent.upload(sent);
    const foreign = asChunkId(systemRandom.bytes(32));
    agent.send({
      type: 'fetch',
      requestId: 5,
      ids: [...sent.map((item) => item.id), foreign],
    });
    const got = new Map<string, unknown>();
    for (let last = false; !last; ) {
      const { frame, body } = await agent.next();
      if (frame.type !== 'chunkData') throw new Error(frame.type);
      for (const { id, kind, size } of frame.items) got.set(hex(id), [kind, size]);
      expect(body.length).toBeLessThan(3_000_000);
      expect(frame.missing.map(hex)).toEqual(frame.last ? [hex(foreign)] : []);
      last = frame.last;
    }
    expect(got).toEqual(
      new Map(sent.map(({ id, kind, sealed }) => [hex(id), [kind, sealed.length]])),
    );
  });

  it('P4: reads nothing back to an agent without self-restore', async () => {
    const agent = await front.agent('hplc-1', { selfRestore: false });
    await agent.open(front.connect().wire);
    const made = agent.commitOf([{ path: '/data/a', bytes: text('secret') }], false);
    await agent.upload(made.items);
    await agent.ask(commitFrame, made.bytes);
    const ids = made.items.map((item) => item.id);
    expect(await agent.ask((requestId) => ({ type: 'fetch', requestId, ids }))).toMatchObject({
      type: 'refused',
      code: 'self-restore-off',
    });
    expect(await agent.ask((requestId) => ({ type: 'state', requestId, atMs: 0 }))).toMatchObject({
      type: 'refused',
      code: 'self-restore-off',
    });
    // The session goes on: sending is not affected.
    expect(await agent.ask((requestId) => ({ type: 'have', requestId, ids }))).toMatchObject({
      missing: [],
    });
  });

  it('lets a new connection of the same agent end the old one', async () => {
    const agent = await front.agent('hplc-1');
    const first = front.connect();
    await agent.open(first.wire);
    const second = front.connect();
    await agent.open(second.wire);
    expect((await first.wire.closed).code).toBe(1001);
    await agent.backUp([{ path: '/data/a', bytes: text('goes on') }]);
  });
});

describe('a session refuses and ends', () => {
  it.each(['revoked', 'not-enrolled', 'replaced'] as const)('an agent that is %s', async (code) => {
    let agent = await front.agent('hplc-1');
    if (code === 'not-enrolled') agent = new SessionTestAgent(await front.bundle('hplc-2'));
    if (code === 'revoked')
      await front.vault.events.append({
        type: 'agentRevoked',
        timeMs: front.nowMs,
        agentId: agent.bundle.enrolment.agentId,
        reason: 'stolen',
      });
    if (code === 'replaced') await front.agent('hplc-2', { replaces: agent });
    const connection = front.connect();
    await agent.greet(connection.wire);
    expect(await ending(agent, connection)).toMatchObject({
      refused: { type: 'refused', code },
      code: 1008,
    });
    expect(connection.proved()).toBe(false);
  });

  it('an enrolled agent that comes with other keys', async () => {
    const agent = await front.agent('hplc-1');
    const impostor = new SessionTestAgent(agent.bundle);
    const connection = front.connect();
    await impostor.greet(connection.wire);
    expect(await ending(impostor, connection)).toMatchObject({ refused: { code: 'not-enrolled' } });
  });

  it('a signature that is not over this session', async () => {
    const agent = await front.agent('hplc-1');
    const connection = front.connect();
    await agent.greet(connection.wire, (auth) => ({
      ...auth,
      chainId: asChainId(systemRandom.bytes(16)),
    }));
    expect(await ending(agent, connection)).toMatchObject({
      refused: { code: 'bad-signature' },
      code: 1008,
    });
  });

  it('a first frame that is not auth', async () => {
    const agent = await front.agent('hplc-1');
    const connection = front.connect();
    await agent.greet(connection.wire, () => ({ type: 'state', requestId: 1, atMs: 0 }));
    expect(await ending(agent, connection)).toMatchObject({ refused: { code: 'protocol' } });
  });

  it('a hello that cannot be read, without an answer', async () => {
    const connection = front.connect();
    connection.wire.send(text('GET / HTTP/1.1'));
    expect(await connection.wire.closed).toMatchObject({ code: 1008, reason: 'SESSION_MALFORMED' });
    await connection.done;
  });

  it('a hello above the limit', async () => {
    const connection = front.connect();
    connection.wire.send(new Uint8Array(100_000));
    expect(await connection.wire.closed).toMatchObject({ code: 1008 });
  });

  it('a frame that was altered on the way', async () => {
    const agent = await front.agent('hplc-1');
    const connection = front.connect();
    await agent.open(connection.wire);
    connection.wire.send(systemRandom.bytes(100));
    // No answer to the one who altered it, and no refusal that would keep the agent away for
    // minutes.
    expect(await connection.wire.closed).toMatchObject({ code: 1013, reason: 'SESSION_FRAME' });
    await expect(agent.next()).rejects.toThrow('connection closed');
  });

  it('chunks whose bytes are not what their id says', async () => {
    const agent = await front.agent('hplc-1');
    const connection = front.connect();
    await agent.open(connection.wire);
    const id = asChunkId(systemRandom.bytes(32));
    agent.send({ type: 'chunks', items: [{ id, kind: 'chunk', size: 3 }] }, text('abc'));
    expect(await ending(agent, connection)).toMatchObject({ refused: { code: 'protocol' } });
    expect((await front.vault.intake.has(agent.bundle.enrolment.lineageId, [id]))[0]).toBe(false);
  });

  it('a second auth', async () => {
    const agent = await front.agent('hplc-1');
    const connection = front.connect();
    let auth: Parameters<Parameters<SessionTestAgent['greet']>[1] & object>[0] | undefined;
    await agent.greet(connection.wire, (frame) => {
      auth = frame;
      return frame;
    });
    await agent.next();
    if (auth === undefined) throw new Error('no auth');
    agent.send(auth);
    expect(await ending(agent, connection)).toMatchObject({ refused: { code: 'protocol' } });
  });

  it('a connection that does not prove itself in time', async () => {
    const connection = front.connect();
    front.timers.elapse();
    expect(await connection.wire.closed).toMatchObject({ code: 1006 });
    await connection.done;
    expect(front.logged.join('')).toContain('INGEST_TIMEOUT');
  });

  it('silently when the other side goes away in the middle', async () => {
    const agent = await front.agent('hplc-1');
    const connection = front.connect();
    await agent.open(connection.wire);
    connection.wire.close();
    await connection.done;
    expect(front.hub.size).toBe(0);
  });
});

describe('a disk that fails under a session', () => {
  it('ends the session with "storage", and the next one goes on', async () => {
    const agent = await front.agent('hplc-1');
    const connection = front.connect();
    await agent.open(connection.wire);
    const made = agent.commitOf([{ path: '/data/a', bytes: text('in between') }]);
    vi.spyOn(front.vault.intake, 'putBodies').mockRejectedValueOnce(
      new StoreError('STORE_FAILED', 'EIO'),
    );
    const [item] = made.items;
    if (item === undefined) throw new Error('no item');
    agent.send({ type: 'chunks', items: [storedOf(item)] }, item.sealed);
    expect(await ending(agent, connection)).toMatchObject({
      refused: { type: 'refused', code: 'storage' },
      code: 1013,
    });
    await agent.open(front.connect().wire);
    await agent.backUp([{ path: '/data/a', bytes: text('in between') }]);
    expect(front.logged.join('')).toContain('STORE_FAILED');
    // Foreseen, and met at every attempt: what and why, but no stack.
    expect(front.logged.join('')).toMatch(/"reason":"EIO"/);
    expect(front.logged.join('')).not.toContain('"stack"');
  });
});

describe('what a session may make the collector hold', () => {
  it('is put in one go where it came together, before what follows is answered', async () => {
    const agent = await front.agent('hplc-1');
    await agent.open(front.connect().wire);
    const files = ['a', 'b', 'c'].map((name) => ({ path: `/data/${name}`, bytes: text(name) }));
    const { items } = agent.commitOf(files);
    const put = vi.spyOn(front.vault.intake, 'putBodies');
    for (const item of items) agent.send({ type: 'chunks', items: [storedOf(item)] }, item.sealed);
    agent.send({ type: 'have', requestId: 77, ids: items.map(({ id }) => id) });
    const bytes = items.reduce((sum, { sealed }) => sum + sealed.length, 0);
    expect((await agent.next()).frame).toEqual({ type: 'credit', bytes });
    expect((await agent.next()).frame).toMatchObject({ type: 'haveAnswer', missing: [] });
    expect(put).toHaveBeenCalledTimes(1);
  });

  it('keeps no line alive whose next message never comes whole, though items wait for it', async () => {
    const agent = await front.agent('hplc-1');
    const { wire, pair, busy, done } = front.connect();
    await agent.open(wire);
    const put = vi.spyOn(front.vault.intake, 'putBodies');
    const [item] = agent.commitOf([{ path: '/data/a', bytes: text('a') }]).items;
    if (item === undefined) throw new Error('no item');
    pair.arriving = 1000;
    agent.send({ type: 'chunks', items: [storedOf(item)] }, item.sealed);
    expect(busy()).toBe(true);
    await expect.poll(busy).toBe(false);
    pair.channel.terminate();
    await done;
    expect(put).not.toHaveBeenCalled();
  });

  it('is bounded although it floods: the socket is paused, nothing is lost, and it goes on', async () => {
    const agent = await front.agent('hplc-1');
    const connection = front.connect();
    await agent.open(connection.wire);
    const made = agent.commitOf([{ path: '/data/big', bytes: systemRandom.bytes(3_000_000) }]);
    const [item] = made.items;
    if (item === undefined) throw new Error('no item');
    for (let sent = 0; sent < 12; sent++)
      agent.send({ type: 'chunks', items: [storedOf(item)] }, item.sealed);
    expect(connection.pair.told).toContain('pause');
    for (let credit = 0; credit < 12 * item.sealed.length; ) {
      const { frame } = await agent.next();
      if (frame.type !== 'credit') throw new Error(frame.type);
      credit += frame.bytes;
    }
    expect(connection.pair.told).toContain('resume');
  });

  it('goes with the session that another one displaces: nobody waits for the end of a message that has begun', async () => {
    const agent = await front.agent('hplc-1');
    const displaced = front.connect();
    await agent.open(displaced.wire);
    displaced.pair.unfinished = 8 * 1024 * 1024;
    await agent.open(front.connect().wire);
    expect(await displaced.wire.closed).toMatchObject({ code: 1006, reason: 'terminated' });
  });

  it('logs no content, no key and no file name', async () => {
    const agent = await front.agent('hplc-1');
    await agent.open(front.connect().wire);
    await agent.backUp([{ path: '/data/patient-4711.csv', bytes: text('confidential-content') }]);
    const log = front.logged.join('');
    expect(log).toContain('agent connected');
    for (const secret of [
      'patient-4711',
      'confidential-content',
      hex(front.kit.catalogSecretKey),
      hex(agent.signKey.seed),
    ]) {
      expect(log).not.toContain(secret);
    }
  });
});
