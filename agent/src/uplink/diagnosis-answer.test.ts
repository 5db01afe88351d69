import type { ClientFrame, OperatorPurpose, Signed } from '@aliquot/proto';
import { newBoxKey } from '@aliquot/shared/crypto/box';
import { newSigningKey } from '@aliquot/shared/crypto/sign';
import { askDiagnosis, openDiagnosis } from '@aliquot/shared/diagnosis/sealed';
import { issueOperator } from '@aliquot/shared/keys/operator-certificate';
import { seededRandom } from '@aliquot/shared/testing/keys/fixtures';
import { beforeEach, describe, expect, it } from 'vitest';
import { testIdentity, vault } from '../../testing/uplink/test-agent.ts';
import { enrolmentOf } from '../identity/identity.ts';
import { DiagnosisAnswer, Diagnostics, type MadeDiagnosis } from './diagnosis-answer.ts';

const NOW = 1_790_000_000_000;
const random = seededRandom('diagnosis answer');
const signKey = newSigningKey(random);
const boxKey = newBoxKey(random);
const identity = testIdentity('ws://127.0.0.1:1');
const { vaultId } = identity.descriptor;
const { agentId } = enrolmentOf(identity);

const certificateFor = (...purposes: OperatorPurpose[]): Signed =>
  issueOperator(vault.authority, {
    version: 1,
    vaultId,
    name: 'maria',
    signKey: signKey.publicKey,
    boxKey: boxKey.publicKey,
    purposes,
    issuedAtMs: NOW - 1,
    expiresAtMs: NOW + 1,
  });
const certificate = certificateFor('diagnose');
const question = () => askDiagnosis(signKey, vaultId, agentId, NOW, random);

type Sent = {
  readonly frame: Extract<ClientFrame, { type: 'diagnosis' }>;
  readonly body: Uint8Array | undefined;
};
let sent: Sent[];
let diagnostics: Diagnostics;
const answers = () =>
  new DiagnosisAnswer(
    { identity, diagnostics, clock: { nowMs: () => NOW }, random },
    { send: async (frame, ...[body]) => void sent.push({ frame: frame as Sent['frame'], body }) },
  );
const whole = (text: string): MadeDiagnosis => ({ text, shorter: () => undefined });
beforeEach(() => {
  sent = [];
  diagnostics = new Diagnostics();
  diagnostics.make = async () => whole('how it is');
});

describe('the answer to an operator', () => {
  it('P3: is sealed to who asked', async () => {
    const { request, body } = question();
    await answers().asked({ request, certificate });
    const [{ frame, body: sealed }] = sent as [Sent];
    expect(frame).toMatchObject({ code: '', askId: body.askId });
    const box = {
      ephemeralKey: frame.ephemeralKey ?? new Uint8Array(0),
      sealed: sealed ?? new Uint8Array(0),
    };
    expect(openDiagnosis(boxKey, body, box)).toBe('how it is');
  });

  it('P4: is a refusal to whom the authority did not certify for that, and nothing is made', async () => {
    let made = 0;
    diagnostics.make = async () => {
      made += 1;
      return whole('');
    };
    const others = issueOperator(newSigningKey(random), {
      ...certifiedBody,
      signKey: signKey.publicKey,
    });
    for (const [given, code] of [
      [certificateFor('settings', 'agents'), 'CERT_PURPOSE'],
      [others, 'CERT_SIGNATURE'],
    ] as const) {
      await answers().asked({ request: question().request, certificate: given });
      expect(sent.pop()).toMatchObject({
        frame: { code, ephemeralKey: undefined },
        body: undefined,
      });
    }
    expect(made).toBe(0);
  });

  it('is "not now" while no service runs, and while another question is answered', async () => {
    diagnostics.make = undefined;
    await answers().asked({ request: question().request, certificate });
    expect(sent.pop()?.frame.code).toBe('DIAGNOSIS_NOT_NOW');
    const { promise, resolve } = Promise.withResolvers<MadeDiagnosis>();
    diagnostics.make = () => promise;
    const both = answers();
    const first = both.asked({ request: question().request, certificate });
    await both.asked({ request: question().request, certificate });
    expect(sent.pop()?.frame.code).toBe('DIAGNOSIS_NOT_NOW');
    resolve(whole('late'));
    await first;
    expect(sent.pop()?.frame.code).toBe('');
  });

  it('has so much of the log as fits', async () => {
    const noise = Buffer.concat([1, 2, 3].map(() => random.bytes(1 << 20))).toString('base64');
    const cut = (text: string): MadeDiagnosis => ({
      text,
      shorter: () => cut(text.slice(text.length >> 1)),
    });
    diagnostics.make = async () => cut(noise);
    const { request, body } = question();
    await answers().asked({ request, certificate });
    const [{ frame, body: sealed }] = sent as [Sent];
    const text = openDiagnosis(boxKey, body, {
      ephemeralKey: frame.ephemeralKey ?? new Uint8Array(0),
      sealed: sealed ?? new Uint8Array(0),
    });
    expect(noise.endsWith(text)).toBe(true);
    expect(sealed?.length).toBeLessThanOrEqual(1 << 20);
  });

  it('ends a session in which the collector repeats a question, asks without end, or hands on what is none', async () => {
    const protocol = expect.objectContaining({ code: 'UPLINK_PROTOCOL' });
    const asked = { request: question().request, certificate };
    const repeated = answers();
    await repeated.asked(asked);
    await expect(repeated.asked(asked)).rejects.toEqual(protocol);
    const many = answers();
    for (let count = 0; count < 16; count += 1)
      await many.asked({ request: question().request, certificate });
    await expect(many.asked({ request: question().request, certificate })).rejects.toEqual(
      protocol,
    );
    const none = { request: { ...asked.request, body: new Uint8Array(3) }, certificate };
    await expect(answers().asked(none)).rejects.toEqual(protocol);
  });
});

const certifiedBody = {
  version: 1,
  vaultId,
  name: 'maria',
  boxKey: boxKey.publicKey,
  purposes: ['diagnose'],
  issuedAtMs: NOW - 1,
  expiresAtMs: NOW + 1,
} as const;
