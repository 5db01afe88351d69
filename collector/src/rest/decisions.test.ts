import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import {
  asAgentId,
  asGroupId,
  type EventBody,
  encodeEventBody,
  MAX_BOOK_EVENTS,
} from '@aliquot/proto';
import { u64be } from '@aliquot/shared/crypto/bytes';
import { nodeDisk } from '@aliquot/shared/derived/node-level';
import { issueRevocation } from '@aliquot/shared/keys/revocation';
import { expect, onTestFinished, test } from 'vitest';
import { Front } from '../../testing/front.ts';
import { toBase64 } from '../api/base64.ts';
import { endedFile, writeBook } from '../store/vault/event-book.ts';
import { applyDecisions } from './decisions.ts';

test('P4: a revocation of an unknown agent that cannot be kept is answered with why, and what follows is recorded', async () => {
  const front = await Front.open();
  onTestFinished(() => front.close());
  const { vaultId } = front.vault.descriptor;
  const { agentId } = (await front.agent('pc')).bundle.enrolment;
  // As many as the file holds.
  const ended = Array.from({ length: MAX_BOOK_EVENTS }, (_none, at) => {
    const groupId = asGroupId(new Uint8Array([...u64be(0), ...u64be(at)]));
    return encodeEventBody({ type: 'groupEnded', timeMs: front.nowMs, groupId });
  });
  const vaults = join(front.dir, 'data', 'vaults');
  const [dir = ''] = await readdir(vaults);
  const file = endedFile(nodeDisk, join(vaults, dir));
  await front.restart(() => writeBook(file, { vaultId, events: ended }));
  const revoked = { type: 'agentRevoked', timeMs: front.nowMs, reason: 'stolen' } as const;
  const unknown = asAgentId(new Uint8Array(16).fill(7));
  const { reason, timeMs: revokedAtMs } = revoked;
  const revocation = issueRevocation(front.authority, {
    ...{ version: 1, vaultId, agentId: unknown, revokedAtMs, reason },
  });
  const events: EventBody[] = [
    { ...revoked, agentId: unknown, revocation, operator: undefined },
    { ...revoked, agentId, revocation: undefined, operator: undefined },
  ];
  const { store, hub: sessions, health, clock, log, timers } = front;
  const { outcomes } = await applyDecisions(
    { store, sessions, health, clock, log, timers, software: 'test' },
    front.vault,
    { events: events.map((event) => toBase64(encodeEventBody(event))) },
  );
  expect(outcomes).toMatchObject([
    { applied: false, code: 'STORE_BAD_EVENT', message: expect.stringContaining('no more') },
    { applied: true },
  ]);
  expect(front.vault.register.agentById(agentId)?.state).toBe('revoked');
});
