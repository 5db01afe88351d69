import { asAgentId, asVaultId, type HeartbeatBody } from '@aliquot/proto';
import { describe, expect, it } from 'vitest';
import { flipped, noise } from '../../testing/bytes.ts';
import { CHAIN, testAgent, testVault } from '../../testing/vault.ts';
import { sign } from '../crypto/sign.ts';
import { signHeartbeat, verifyHeartbeat } from './heartbeat.ts';

const vault = testVault('ours');
const agent = testAgent(vault, 'lc-1');
const { vaultId } = vault.descriptor;
const expected = { vaultId, agent: agent.certificate };
const code = (refusal: string) => expect.objectContaining({ code: refusal });

const body: HeartbeatBody = {
  version: 1,
  vaultId,
  agentId: agent.certificate.binding.agentId,
  chainId: CHAIN,
  timeMs: 1_700_000_000_000,
  files: 100_000,
  bytes: 2 ** 40,
  queuedEntries: 0,
  unprotected: 2,
  chainHead: undefined,
  treeHead: { logEpoch: 1, size: 9, root: noise('root', 32) },
  pending: 4,
  unsettled: 1,
  problems: [
    { code: 'unreadable', count: 2, sinceMs: 1_699_999_000_000 },
    { code: 'unsettled', count: 1, sinceMs: 1_699_999_500_000 },
  ],
};

describe('a heartbeat', () => {
  it('is believed from the agent that signed it', () => {
    expect(verifyHeartbeat(signHeartbeat(agent.signKey, body), expected)).toEqual(body);
  });

  it('P5: is refused with any byte changed, from another agent, or with a signature of another purpose', () => {
    const signed = signHeartbeat(agent.signKey, body);
    for (let at = 0; at < signed.body.length; at += 1) {
      expect(() =>
        verifyHeartbeat({ ...signed, body: flipped(signed.body, at) }, expected),
      ).toThrow(code('COMMIT_SIGNATURE'));
    }
    const stranger = testAgent(vault, 'lc-2');
    expect(() => verifyHeartbeat(signHeartbeat(stranger.signKey, body), expected)).toThrow(
      code('COMMIT_SIGNATURE'),
    );
    expect(() =>
      verifyHeartbeat(sign(agent.signKey, 'aliquot/v1/commit', signed.body), expected),
    ).toThrow(code('COMMIT_SIGNATURE'));
  });

  it('P5: is refused when it speaks for another vault or another agent', () => {
    const forVault = signHeartbeat(agent.signKey, {
      ...body,
      vaultId: asVaultId(noise('other', 16)),
    });
    const forAgent = signHeartbeat(agent.signKey, {
      ...body,
      agentId: asAgentId(noise('other', 16)),
    });
    expect(() => verifyHeartbeat(forVault, expected)).toThrow(code('COMMIT_OTHER_VAULT'));
    expect(() => verifyHeartbeat(forAgent, expected)).toThrow(code('COMMIT_OTHER_AGENT'));
  });
});
