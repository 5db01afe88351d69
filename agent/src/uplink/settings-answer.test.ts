import { rmSync } from 'node:fs';
import type { ServerFrame, Settings } from '@aliquot/proto';
import { boxKeyFromSecret } from '@aliquot/shared/crypto/box';
import { nodeFiles } from '@aliquot/shared/durable/file-port';
import { issueSettings, openDetail, type SettingsTerms } from '@aliquot/shared/keys/settings';
import {
  fixtureAgent,
  fixtureVault,
  FIXTURE_TIME_MS as NOW,
  seededRandom,
} from '@aliquot/shared/testing/keys/fixtures';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { temporaryFolder } from '../../testing/queue/support.ts';
import {
  startAgent,
  testIdentity,
  type UplinkTestAgent,
  vault,
} from '../../testing/uplink/test-agent.ts';
import { TestCollector } from '../../testing/uplink/test-collector.ts';
import type { DeskBook } from '../desk/book.ts';
import { openDesk } from '../desk/open-desk.ts';

/*
 * A collector in bad hands, with all its true keys, hands out settings: nothing but the newest that
 * were made for this PC ever counts.
 */

const random = seededRandom('settings at the wire');
const policyKey = boxKeyFromSecret(new Uint8Array(32).fill(9));
const stranger = fixtureVault('a stranger');
const other = fixtureAgent(vault, 'other');

let collector: TestCollector;
let agent: UplinkTestAgent;
let desk: DeskBook;

beforeEach(async () => {
  collector = new TestCollector(vault);
  const url = await collector.listen();
  const { dir } = temporaryFolder();
  const identity = testIdentity(url);
  desk = await openDesk(dir, { port: nodeFiles, clock: { nowMs: () => NOW }, random, identity });
  agent = await startAgent(url, { dir, uplink: { desk } });
  await agent.until('ready');
});

afterEach(async () => {
  await agent.close();
  rmSync(agent.dir, { recursive: true, force: true });
  await collector.stop();
});

const { agentId, boxKey } = {
  agentId: fixtureAgent(vault, 'lcms-1').agentId,
  boxKey: testIdentity('http://127.0.0.1:1').boxKey,
};

function made(
  sequence: number,
  changes: Partial<SettingsTerms> & { by?: typeof vault; text?: string; pc?: typeof other } = {},
): Settings {
  const { by = vault, text = 'logLevel: debug\n', pc, ...terms } = changes;
  const whom =
    pc === undefined
      ? { agentId, boxKey: boxKey.publicKey }
      : { agentId: pc.agentId, boxKey: pc.boxKey.publicKey };
  const all = { sequence, issuedAtMs: NOW, expiresAtMs: NOW + 1000, groups: [], ...terms };
  const contents = { version: 1, text, answerKey: policyKey.publicKey } as const;
  return {
    settings: issueSettings(by.authority, by.descriptor, whom, all, contents, random),
    certificate: undefined,
  };
}

/**
 * Hands settings out in the place of an answer to a heartbeat, and gives what the agent says of
 * them.
 */
async function handed(given: Settings): Promise<(typeof collector.settingsAnswers)[number]> {
  const before = collector.settingsAnswers.length;
  collector.bend = (frame): ServerFrame =>
    frame.type === 'heartbeatAck' ? { type: 'settings', ...given } : frame;
  agent.uplink
    .heartbeat({ files: 0, bytes: 0, unprotected: 0, pending: 0, unsettled: 0, problems: [] })
    .catch(() => undefined);
  for (;;) {
    const answer = collector.settingsAnswers[before];
    if (answer !== undefined) return answer;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

describe('settings that a collector hands out', () => {
  test('P6: are answered once they are on the disk, and told with the next connection', async () => {
    expect(await handed(made(12))).toMatchObject({
      sequence: 12,
      outcome: 'applied',
      code: '',
      sealed: undefined,
    });
    expect((await reopened()).sequence).toBe(12);
    collector.bend = (frame) => frame;
    agent = await agent.restart();
    await agent.until('ready');
    expect(collector.frames.filter((frame) => frame.type === 'auth').at(-1)).toMatchObject({
      settingsSequence: 12,
    });
  });

  test.each([
    ['those of before again', () => made(4), 'SETTINGS_OLD'],
    ['another PC’s', () => made(12, { pc: other }), 'SETTINGS_OTHER_PC'],
    ['signed by a foreign key', () => made(12, { by: stranger }), 'SETTINGS_FOREIGN'],
    [
      'with a certificate that is none',
      () => ({ ...made(12), certificate: vault.collectorCertificate }),
      'SETTINGS_FOREIGN',
    ],
    ['past their term', () => made(12, { expiresAtMs: NOW }), 'SETTINGS_EXPIRED'],
    [
      'wrong ones',
      () => made(12, { text: 'sources: [{path: secret/folder}]\n' }),
      'SETTINGS_INVALID',
    ],
  ])(
    'P5 P6: %s are refused, named and remembered; the session and those in force stay',
    async (_what, make, code) => {
      await handed(made(5));
      const answer = await handed(make());
      expect(answer).toMatchObject({ outcome: 'refused', code });
      expect(agent.uplink.status().state).toBe('ready');
      const book = await reopened();
      expect(book.sequence).toBe(5);
      expect(book.refused).toMatchObject({ code });
      // Why is for who made them, not for the collector.
      const { ephemeralKey, sealed } = answer;
      if (ephemeralKey === undefined || sealed === undefined) throw new Error('no reason');
      expect(
        openDetail(policyKey, vault.descriptor, agentId, answer.sequence, { ephemeralKey, sealed }),
      ).toBe(book.refused?.message);
      expect(Buffer.from(sealed).includes('secret')).toBe(false);
    },
  );

  test('that are none at all, or come without end, end the session', async () => {
    collector.bend = (frame): ServerFrame =>
      frame.type === 'heartbeatAck'
        ? { type: 'settings', settings: vault.collectorCertificate, certificate: undefined }
        : frame;
    agent.uplink
      .heartbeat({ files: 0, bytes: 0, unprotected: 0, pending: 0, unsettled: 0, problems: [] })
      .catch(() => undefined);
    expect((await agent.until('refused', 'offline')).problem?.code).toBe('UPLINK_PROTOCOL');
    expect((await reopened()).refused).toBeUndefined();
    collector.bend = (frame) => frame;
    agent.uplink.nudge();
    await agent.until('ready');
    for (let number = 0; number < 64; number += 1) await handed(made(100 + number));
    agent.uplink
      .heartbeat({ files: 0, bytes: 0, unprotected: 0, pending: 0, unsettled: 0, problems: [] })
      .catch(() => undefined);
    expect((await agent.until('refused', 'offline')).problem?.code).toBe('UPLINK_PROTOCOL');
  });
});

function reopened(): Promise<DeskBook> {
  const identity = testIdentity('http://127.0.0.1:1');
  return openDesk(agent.dir, { port: nodeFiles, clock: { nowMs: () => NOW }, random, identity });
}
