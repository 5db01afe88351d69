import {
  type AgentId,
  decodeSettingsBody,
  encodeSettingsBody,
  type Settings,
} from '@aliquot/proto';
import { describe, expect, test } from 'vitest';
import {
  fixtureAgent,
  fixtureVault,
  FIXTURE_TIME_MS as NOW,
  seededRandom,
} from '../../testing/keys/fixtures.ts';
import { sha256 } from '../crypto/primitives.ts';
import { sign } from '../crypto/sign.ts';
import { policyKeyFor } from './derive.ts';
import { openKit, sealKit } from './kit.ts';
import { newOperator, openOperator, sealOperator } from './operator.ts';
import { issuePolicy, openPolicyText, sealPolicyText, verifyPolicy } from './policy.ts';
import {
  issueBundleSettings,
  issueSettings,
  judgeSettings,
  openDetail,
  type SettingsTerms,
  sealDetail,
} from './settings.ts';

const cheap = { logN: 1, r: 1, p: 1 };
const vault = fixtureVault('settings');
const foreign = fixtureVault('other lab');
const agent = fixtureAgent(vault, 'hplc-1');
const other = fixtureAgent(vault, 'hplc-2');
const random = seededRandom('settings');
const kit = await openKit(sealKit(vault.kit, 'kit', seededRandom('kit'), cheap), 'kit');
const policyKey = policyKeyFor(kit.pathSecret, vault.descriptor.vaultId);
const terms: SettingsTerms = {
  sequence: 12,
  issuedAtMs: NOW,
  expiresAtMs: NOW + 1000,
  groups: ['hplc'],
};
const contents = { version: 1, text: 'logLevel: debug\n', answerKey: policyKey.publicKey } as const;
const owner = { vault: vault.descriptor, agentId: agent.agentId, boxKey: agent.boxKey };
const code = (value: string) => expect.objectContaining({ code: value });

const operatorKey = async (purposes: ('settings' | 'agents')[], expiresAtMs = NOW + 500) => {
  const made = newOperator(kit, { name: 'maria', purposes, issuedAtMs: NOW, expiresAtMs }, random);
  return openOperator(sealOperator(made, 'x', random, cheap), 'x', undefined, NOW);
};

const told = (
  changes: Partial<SettingsTerms> = {},
  pc: { agentId: AgentId; boxKey: Uint8Array } = {
    agentId: agent.agentId,
    boxKey: agent.boxKey.publicKey,
  },
  key = vault.authority,
): Settings => ({
  settings: issueSettings(key, vault.descriptor, pc, { ...terms, ...changes }, contents, random),
  certificate: undefined,
});

const judge = (
  given: Settings,
  inForce = 0,
  nowMs = NOW,
  way: 'collector' | 'bundle' = 'collector',
) => judgeSettings(owner, given, way, inForce, nowMs);

describe('settings of one PC', () => {
  test('are believed from the authority and from an operator for settings, and only that PC opens them', async () => {
    expect(judge(told()).contents).toEqual(contents);
    const { signKey, signedCertificate } = await operatorKey(['settings']);
    const byOperator = { ...told({}, undefined, signKey), certificate: signedCertificate };
    expect(judge(byOperator).body.groups).toEqual(['hplc']);
    expect(Buffer.from(byOperator.settings.body).includes('debug')).toBe(false);
    expect(() =>
      judgeSettings({ ...owner, boxKey: other.boxKey }, told(), 'collector', 0, NOW),
    ).toThrow(code('SETTINGS_SEALED'));
  });

  test('P5: are refused by name: a foreign key, another vault, another purpose, an operator without a certificate, altered in any byte', async () => {
    expect(() => judge(told({}, undefined, foreign.authority))).toThrow(code('SETTINGS_FOREIGN'));
    const inOther = issueSettings(
      foreign.authority,
      foreign.descriptor,
      { agentId: agent.agentId, boxKey: agent.boxKey.publicKey },
      terms,
      contents,
      random,
    );
    expect(() => judge({ settings: inOther, certificate: undefined })).toThrow(
      code('SETTINGS_FOREIGN'),
    );
    const agents = await operatorKey(['agents']);
    expect(() =>
      judge({ ...told({}, undefined, agents.signKey), certificate: agents.signedCertificate }),
    ).toThrow(code('SETTINGS_FOREIGN'));
    const maria = await operatorKey(['settings']);
    expect(() => judge(told({}, undefined, maria.signKey))).toThrow(code('SETTINGS_FOREIGN'));
    const good = told();
    for (const at of good.settings.body.keys()) {
      const body = good.settings.body.with(at, (good.settings.body[at] ?? 0) ^ 1);
      expect(() => judge({ ...good, settings: { ...good.settings, body } })).toThrow(
        code('SETTINGS_FOREIGN'),
      );
    }
  });

  test('P5: are refused by name: another PC’s, older, the same again, too far ahead, past their term, past their signer’s', async () => {
    expect(() =>
      judge(told({}, { agentId: other.agentId, boxKey: other.boxKey.publicKey })),
    ).toThrow(code('SETTINGS_OTHER_PC'));
    expect(() => judge(told(), 12)).toThrow(code('SETTINGS_OLD'));
    expect(() => judge(told(), 13)).toThrow(code('SETTINGS_OLD'));
    expect(() => judge(told({ sequence: NOW + 1 }), 2)).toThrow(code('SETTINGS_SKIPS'));
    expect(judge(told({ sequence: NOW }), 2).body.sequence).toBe(NOW);
    expect(() => judge(told(), 0, NOW + 1000)).toThrow(code('SETTINGS_EXPIRED'));
    const { signKey, signedCertificate } = await operatorKey(['settings']);
    expect(() =>
      judge({ ...told({}, undefined, signKey), certificate: signedCertificate }, 0, NOW + 500),
    ).toThrow(code('SETTINGS_EXPIRED'));
  });

  test('sealed to another box key, or with another’s number under them, do not open', () => {
    expect(() =>
      judge(told({}, { agentId: agent.agentId, boxKey: other.boxKey.publicKey })),
    ).toThrow(code('SETTINGS_SEALED'));
    const body = decodeSettingsBody(told().settings.body);
    const moved = told({ sequence: 13 });
    const swapped = {
      ...decodeSettingsBody(moved.settings.body),
      sealed: body.sealed,
      ephemeralKey: body.ephemeralKey,
    };
    const signed = sign(vault.authority, 'aliquot/v1/settings', encodeSettingsBody(swapped));
    expect(() => judge({ settings: signed, certificate: undefined })).toThrow(
      code('SETTINGS_SEALED'),
    );
  });

  test('in clear are taken from a bundle only, for its agent or for whoever has the bundle of a group', () => {
    const single = {
      settings: issueBundleSettings(
        vault.authority,
        vault.descriptor,
        agent.agentId,
        terms,
        contents,
      ),
      certificate: undefined,
    };
    const group = {
      settings: issueBundleSettings(vault.authority, vault.descriptor, undefined, terms, contents),
      certificate: undefined,
    };
    for (const given of [single, group])
      expect(judge(given, 0, NOW, 'bundle').contents.text).toBe(contents.text);
    expect(() => judge(single)).toThrow(code('SETTINGS_SEALED'));
    expect(() => judge(group)).toThrow(code('SETTINGS_OTHER_PC'));
  });

  test('a refusal’s reason opens with the policy key only, and only as what it was said about', () => {
    const box = sealDetail(policyKey.publicKey, owner, 12, 'line 3: /data/secret', random);
    expect(Buffer.from(box.sealed).includes('secret')).toBe(false);
    expect(openDetail(policyKey, vault.descriptor, agent.agentId, 12, box)).toBe(
      'line 3: /data/secret',
    );
    expect(openDetail(policyKey, vault.descriptor, agent.agentId, 13, box)).toBeUndefined();
    expect(openDetail(other.boxKey, vault.descriptor, agent.agentId, 12, box)).toBeUndefined();
  });
});

describe('a policy', () => {
  test('is signed with its sealed text, and opens with the policy key only', () => {
    const sealed = sealPolicyText(policyKey.publicKey, vault.descriptor, 'agents: {}\n', random);
    expect(openPolicyText(policyKey, vault.descriptor, sealed)).toBe('agents: {}\n');
    expect(() => openPolicyText(agent.boxKey, vault.descriptor, sealed)).toThrow(
      code('POLICY_UNREADABLE'),
    );
    expect(() =>
      openPolicyText(policyKey, vault.descriptor, sealed.with(40, (sealed[40] ?? 0) ^ 1)),
    ).toThrow(code('POLICY_UNREADABLE'));
    const { vaultId } = vault.descriptor;
    const policy = issuePolicy(vault.authority, {
      version: 1,
      vaultId,
      revision: 3,
      setAtMs: NOW,
      sealedHash: sha256(sealed),
      rules: undefined,
    });
    expect(
      verifyPolicy(vault.descriptor, { policy, certificate: undefined, sealed }, NOW).revision,
    ).toBe(3);
    const swapped = sealPolicyText(policyKey.publicKey, vault.descriptor, 'agents: {}\n', random);
    expect(() =>
      verifyPolicy(vault.descriptor, { policy, certificate: undefined, sealed: swapped }, NOW),
    ).toThrow(code('CERT_SIGNATURE'));
  });

  test('of a fleet fits because it is compressed, and one that does not is refused', () => {
    const pcs = Array.from(
      { length: 2000 },
      (_none, at) => `    pc-${at}: {sources: [{path: 'D:\\Data\\${at}'}]}`,
    ).join('\n');
    const text = `agents:\n  pcs:\n${pcs}\n`;
    expect(
      openPolicyText(
        policyKey,
        vault.descriptor,
        sealPolicyText(policyKey.publicKey, vault.descriptor, text, random),
      ),
    ).toBe(text);
    const noise = Buffer.from(random.bytes(60_000)).toString('base64');
    expect(() => sealPolicyText(policyKey.publicKey, vault.descriptor, noise, random)).toThrow(
      code('POLICY_LIMIT'),
    );
  });
});
