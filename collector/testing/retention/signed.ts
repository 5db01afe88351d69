import {
  asHoldId,
  type EventBody,
  type HoldBody,
  MAX_TIME_MS,
  type OperatorPurpose,
  type RetentionRules,
  type Signed,
} from '@aliquot/proto';
import { sha256 } from '@aliquot/shared/crypto/primitives';
import { type SigningKey, signingKeyFromSeed } from '@aliquot/shared/crypto/sign';
import { policyKeyFor } from '@aliquot/shared/keys/derive';
import { issueHoldRelease, sealHoldPaths } from '@aliquot/shared/keys/hold';
import { issueOperator } from '@aliquot/shared/keys/operator-certificate';
import { issuePolicy, sealPolicyText } from '@aliquot/shared/keys/policy';
import { issueRetentionApproval } from '@aliquot/shared/keys/retention-approval';
import { readPolicy } from '@aliquot/shared/settings/policy';
import { inClear } from '@aliquot/shared/settings/retention';
import type { RunRow } from '../../src/store/catalog/retention-runs.ts';
import type { StoreWorld } from '../store/world.ts';

/** What people sign about retention, for tests. */

const DAY_MS = 86_400_000;

/** The rules of a policy file's section, one a line. */
export function rulesOf(...rules: readonly string[]): RetentionRules {
  const read = readPolicy(
    `retention:\n  rules:\n${rules.map((rule) => `    - ${rule}\n`).join('')}`,
  );
  if ('mistakes' in read) throw new Error(JSON.stringify(read.mistakes));
  const { retention } = read.policy;
  if (retention === undefined) throw new Error('no rules');
  const none = { lineages: new Uint8Array(0), sources: new Uint8Array(0) };
  return inClear(retention, () => none);
}

/** A policy with these rules, by the kit. */
export function policySet(
  { descriptor, authority, random, clock }: StoreWorld,
  revision: number,
  rules: RetentionRules | undefined,
): EventBody {
  const key = policyKeyFor(new Uint8Array(32), descriptor.vaultId).publicKey;
  const sealed = sealPolicyText(key, descriptor, `# ${revision}\n`, random);
  const policy = issuePolicy(authority, {
    ...{ version: 1, vaultId: descriptor.vaultId, revision, rules },
    ...{ setAtMs: clock.now, sealedHash: sha256(sealed) },
  });
  return { type: 'policySet', timeMs: clock.now, policy, certificate: undefined, sealed };
}

/** A hold on paths, and the word that it is over. */
export function holdOn(
  world: StoreWorld,
  globs: readonly string[],
  name = 'trial-7',
): { set: EventBody; over(): EventBody } {
  const { descriptor, random, clock, authority } = world;
  const { vaultId } = descriptor;
  const holdId = asHoldId(random.bytes(16));
  const hold: HoldBody = {
    ...{ version: 1, vaultId, holdId, name, reason: 'audit', owner: 'QA' },
    ...{ agents: [], lineageIds: [], classes: [], fromMs: 0, toMs: MAX_TIME_MS },
    paths: sealHoldPaths(descriptor, { holdId }, globs, random),
  };
  const over = (): EventBody => {
    const body = { version: 1, vaultId, holdId, releasedAtMs: clock.now, reason: 'over' } as const;
    const release = issueHoldRelease(authority, body);
    return { type: 'holdReleased', timeMs: clock.now, release, operator: undefined };
  };
  return { set: { type: 'holdSet', timeMs: clock.now, hold }, over };
}

/** The approval of a run, by an operator of these purposes, or by the kit. */
export function runApproval(
  { descriptor, authority, clock }: StoreWorld,
  run: Pick<RunRow, 'run' | 'sum'> | undefined,
  purposes?: readonly OperatorPurpose[],
): EventBody {
  let [key, certificate]: [SigningKey, Signed | undefined] = [authority, undefined];
  if (purposes !== undefined) {
    key = signingKeyFromSeed(new Uint8Array(32).fill(7));
    certificate = issueOperator(authority, {
      ...{ version: 1, vaultId: descriptor.vaultId, name: 'maria', purposes },
      ...{ signKey: key.publicKey, boxKey: new Uint8Array(32).fill(1) },
      ...{ issuedAtMs: clock.now, expiresAtMs: clock.now + DAY_MS },
    });
  }
  const approval = issueRetentionApproval(key, {
    ...{ version: 1, vaultId: descriptor.vaultId, run: run?.run ?? 99 },
    ...{ sum: run?.sum ?? new Uint8Array(32), approvedAtMs: clock.now },
  });
  return { type: 'retentionApproved', timeMs: clock.now, approval, certificate };
}
