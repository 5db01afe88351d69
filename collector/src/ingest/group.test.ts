import { cp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type AgentBindingBody,
  decodeAgentBindingBody,
  decodeEnrolAnswer,
  decodeEnrolAnswerBody,
  encodeAgentBindingBody,
  encodeEnrolRequest,
  type GroupCertificateBody,
  type Signed,
} from '@aliquot/proto';
import { newBoxKey } from '@aliquot/shared/crypto/box';
import { newSigningKey, sign } from '@aliquot/shared/crypto/sign';
import { issueApproval } from '@aliquot/shared/keys/approval';
import { groupIdOf, issueGroup } from '@aliquot/shared/keys/group';
import { systemRandom } from '@aliquot/shared/ports';
import type { FastifyInstance } from 'fastify';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SessionTestAgent } from '../../testing/agent.ts';
import { ending, Front } from '../../testing/front.ts';
import { buildServer } from '../rest/server.ts';

/**
 * What somebody who found the bundle of a group can make of it, and what a PC of a group may do.
 */

let front: Front;
let app: FastifyInstance;
let group: Signed;
const groupKey = newSigningKey(systemRandom);

const DAY_MS = 86_400_000;

async function added(terms: Partial<GroupCertificateBody> = {}): Promise<Signed> {
  const certificate = issueGroup(front.authority, {
    version: 1,
    vaultId: front.vault.descriptor.vaultId,
    name: 'hall-7',
    groupKey: groupKey.publicKey,
    uses: 3,
    names: [],
    approve: false,
    selfRestore: true,
    dedupEpoch: 1,
    issuedAtMs: front.nowMs,
    expiresAtMs: front.nowMs + DAY_MS,
    ...terms,
  });
  await front.vault.events.append({ type: 'groupAdded', timeMs: front.nowMs, group: certificate });
  return certificate;
}

/** An agent with fresh keys of its own. */
const member = async (name: string, certificate = group, key = groupKey) =>
  new SessionTestAgent(await front.bundle('nobody', { register: false })).asMember(
    certificate,
    key,
    name,
  );

beforeEach(async () => {
  front = await Front.open();
  const { store, hub: sessions, health, clock, log, timers } = front;
  app = buildServer({ store, sessions, health, clock, log, timers, software: 'test' }, undefined);
  group = await added();
});
afterEach(async () => {
  await app.close();
  await front.close();
});

async function post(payload: Uint8Array) {
  const headers = { 'content-type': 'application/octet-stream' };
  const answer = await app.inject({
    method: 'POST',
    url: '/v1/enrol',
    headers,
    payload: Buffer.from(payload),
  });
  if (answer.statusCode !== 200)
    return { code: String(answer.json().code), pending: undefined, approval: undefined };
  const { answer: signed, approval } = decodeEnrolAnswer(new Uint8Array(answer.rawPayload));
  return { code: 'ok', pending: decodeEnrolAnswerBody(signed.body).pending, approval };
}

const enrol = (agent: SessionTestAgent) => post(agent.enrolRequest());
const stateOf = (name: string) => front.vault.register.agentByName(name)?.state;

/** A binding as the holder of the group's key would bend it. */
function bent(
  { binding }: SessionTestAgent,
  change: (body: AgentBindingBody) => AgentBindingBody,
  key = groupKey,
): Uint8Array {
  const body = encodeAgentBindingBody(change(decodeAgentBindingBody(binding.body)));
  return encodeEnrolRequest({
    version: 1,
    enrolment: group,
    binding: sign(key, 'aliquot/v1/group-binding', body),
  });
}

describe('who found the bundle of a group', () => {
  it('P4: takes no id, no key and no name that another PC has, and leaves no trace of trying', async () => {
    const victim = await member('hplc-7');
    expect(await enrol(victim)).toMatchObject({ code: 'ok', pending: false });
    const before = front.vault.log.treeHead().size;
    const thief = await member('hplc-8');
    const { agentId } = decodeAgentBindingBody(victim.binding.body);
    const forged = { ...group, signature: new Uint8Array(64) };
    const tries: [string, Uint8Array, string][] = [
      ['its id with other keys', bent(thief, (body) => ({ ...body, agentId })), 'ENROL_UNKNOWN'],
      [
        'its key with another box key',
        bent(victim, (body) => ({ ...body, boxKey: newBoxKey(systemRandom).publicKey })),
        'ENROL_UNKNOWN',
      ],
      [
        'its keys under another name',
        bent(victim, (body) => ({
          ...body,
          member: body.member && { ...body.member, name: 'hplc-9' },
        })),
        'ENROL_UNKNOWN',
      ],
      ['its name', (await member('hplc-7')).enrolRequest(), 'ENROL_NAME_TAKEN'],
      [
        'a binding without the group’s key',
        bent(thief, (body) => body, thief.signKey),
        'ENROL_UNKNOWN',
      ],
      [
        'a certificate of its own making',
        encodeEnrolRequest({ version: 1, enrolment: forged, binding: thief.binding }),
        'ENROL_UNKNOWN',
      ],
    ];
    for (const [what, request, code] of tries)
      expect(await post(request), what).toMatchObject({ code });
    expect(front.vault.log.treeHead().size).toBe(before);
    expect(front.vault.register.groups()).toMatchObject([{ used: 1 }]);
  });

  it('repeats another’s request for nothing: the answer is that one’s, and a session needs its signing key', async () => {
    const victim = await member('hplc-7');
    await enrol(victim);
    expect(await enrol(victim)).toMatchObject({ code: 'ok' });
    expect(front.vault.register.groups()).toMatchObject([{ used: 1 }]);
    // The thief's own key under the victim's certificate.
    const thief = new SessionTestAgent(victim.bundle, await member('hplc-8'), victim.binding);
    const connection = front.connect();
    await thief.greet(connection.wire);
    expect((await ending(thief, connection)).refused).toMatchObject({
      type: 'refused',
      code: 'bad-signature',
    });
  });

  it('gets no more PCs in than there are uses, however many ask at once, and none once it is ended or late', async () => {
    const many = await Promise.all(Array.from({ length: 8 }, (_none, at) => member(`pc-${at}`)));
    const codes = (await Promise.all(many.map(enrol))).map(({ code }) => code).sort();
    expect(codes).toEqual([
      ...Array.from({ length: 5 }, () => 'ENROL_GROUP_FULL'),
      'ok',
      'ok',
      'ok',
    ]);
    // A revoked one has used its place anyway.
    const [one] = front.vault.register.agents();
    if (one === undefined) throw new Error('nobody');
    await front.vault.events.append({
      type: 'agentRevoked',
      timeMs: front.nowMs,
      agentId: one.agentId,
      reason: 'stranger',
    });
    expect(await enrol(await member('late'))).toMatchObject({ code: 'ENROL_GROUP_FULL' });

    const other = newSigningKey(systemRandom);
    const second = await added({ name: 'hall-8', groupKey: other.publicKey, names: ['lc-*'] });
    const early = await member('lc-1', second, other);
    expect(await enrol(early)).toMatchObject({ code: 'ok' });
    front.nowMs += DAY_MS + 1;
    expect(await enrol(await member('lc-2', second, other))).toMatchObject({
      code: 'ENROL_EXPIRED',
    });
    expect(await enrol(early)).toMatchObject({ code: 'ok' });
    front.nowMs -= DAY_MS;
    await front.vault.events.append({
      type: 'groupEnded',
      timeMs: front.nowMs,
      groupId: groupIdOf(other.publicKey),
    });
    expect(await enrol(await member('lc-2', second, other))).toMatchObject({
      code: 'ENROL_GROUP_ENDED',
    });
    expect(await enrol(early)).toMatchObject({ code: 'ok' });
  });

  it('enrols nobody by a group that this collector was never told of, though the authority certified it', async () => {
    const other = newSigningKey(systemRandom);
    const { vaultId } = front.vault.descriptor;
    const untold = issueGroup(front.authority, {
      ...{
        version: 1,
        vaultId,
        name: 'elsewhere',
        groupKey: other.publicKey,
        uses: 9,
        names: [],
        approve: false,
        selfRestore: true,
      },
      ...{ dedupEpoch: 1, issuedAtMs: front.nowMs, expiresAtMs: front.nowMs + DAY_MS },
    });
    expect(await enrol(await member('x', untold, other))).toMatchObject({ code: 'ENROL_UNKNOWN' });
  });
});

describe('a PC that waits for approval', () => {
  it('P6: opens no session and hands nothing over until the authority has approved it; then it does', async () => {
    const key = newSigningKey(systemRandom);
    const asked = await added({ name: 'asked', groupKey: key.publicKey, approve: true });
    const pc = await member('ms-1', asked, key);
    expect(await enrol(pc)).toMatchObject({ code: 'ok', pending: true });
    expect(stateOf('ms-1')).toBe('pending');
    const refused = front.connect();
    await pc.greet(refused.wire);
    expect((await ending(pc, refused)).refused).toMatchObject({
      code: 'pending',
      message: expect.stringContaining('aliquot agents approve ms-1'),
    });
    const { agentId } = pc.bundle.enrolment;
    expect(
      await front.vault.intake.commit(
        agentId,
        pc.commitOf([{ path: '/a', bytes: new Uint8Array(9) }]).bytes,
        front.nowMs,
      ),
    ).toMatchObject({
      type: 'refused',
      code: 'pending',
    });
    // Not by whoever signs it, nor for another PC, nor by its own coming as if it had been let in.
    const { vaultId } = front.vault.descriptor;
    const body = {
      version: 1,
      vaultId,
      agentId,
      approvedAtMs: front.nowMs,
      successor: undefined,
    } as const;
    const approve = (approval: Signed) =>
      front.vault.events.append({
        type: 'agentApproved',
        timeMs: front.nowMs,
        approval,
        operator: undefined,
      });
    await expect(approve(issueApproval(key, body))).rejects.toMatchObject({
      code: 'STORE_BAD_EVENT',
    });
    const enrolled = {
      type: 'agentEnrolled',
      timeMs: front.nowMs,
      enrolment: asked,
      binding: (await member('ms-2', asked, key)).binding,
    } as const;
    await expect(front.vault.events.append(enrolled)).rejects.toMatchObject({
      code: 'STORE_BAD_EVENT',
    });
    const good = issueApproval(front.authority, body);
    const { leafIndex } = await approve(good);
    expect(await approve(good)).toEqual({ leafIndex });
    await pc.open(front.connect().wire);
    await pc.backUp([{ path: '/data/a', bytes: new Uint8Array([1]) }]);
    expect(stateOf('ms-1')).toBe('enrolled');
  });
});

describe('a collector that came back with an older disk', () => {
  it('takes a PC of a group in again by its certificates, though the group went with the log’s tail, and counts it', async () => {
    const data = join(front.dir, 'data');
    const aside = join(front.dir, 'aside');
    const key = newSigningKey(systemRandom);
    await front.restart(() => cp(data, aside, { recursive: true }));
    const lost = await added({ name: 'lost', groupKey: key.publicKey, uses: 1 });
    const pc = await member('gc-1', lost, key);
    const { enrolment, binding } = { enrolment: pc.bundle.signedEnrolment, binding: pc.binding };
    await front.vault.events.append({
      type: 'agentEnrolled',
      timeMs: front.nowMs,
      enrolment,
      binding,
    });
    await pc.open(front.connect().wire);
    await pc.backUp([{ path: '/data/a', bytes: new Uint8Array([1]) }]);
    await front.restart(async () => {
      await rm(data, { recursive: true });
      await cp(aside, data, { recursive: true });
    });
    expect(stateOf('gc-1')).toBeUndefined();
    const ready = await pc.open(front.connect().wire);
    expect(ready.rolledBack).toBe(true);
    expect(stateOf('gc-1')).toBe('enrolled');
    expect(front.vault.register.groups().map(({ body, used }) => [body.name, used])).toContainEqual(
      ['lost', 1],
    );
    // The use is used: the bundle does not start over.
    const other = await member('gc-2', lost, key);
    const event = {
      type: 'agentEnrolled',
      timeMs: front.nowMs,
      enrolment: lost,
      binding: other.binding,
    } as const;
    await expect(front.vault.events.append(event)).rejects.toMatchObject({
      code: 'STORE_GROUP_FULL',
    });
  });
});
