import {
  type AgentBindingBody,
  decodeAgentBindingBody,
  encodeAgentBindingBody,
  type GroupCertificateBody,
  type Signed,
} from '@aliquot/proto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  FIXTURE_TIME_MS,
  fixtureAgent,
  fixtureVault,
  seededRandom,
} from '../../testing/keys/fixtures.ts';
import { newBoxKey } from '../crypto/box.ts';
import { hex } from '../crypto/bytes.ts';
import { newSigningKey, sign } from '../crypto/sign.ts';
import {
  isSuccessorOf,
  issueApproval,
  openPathKey,
  sealPathKey,
  verifyApproval,
} from './approval.ts';
import {
  issueBinding,
  issueEnrolment,
  readAgent,
  verifyAgent,
  verifyEnrolment,
} from './certificates.ts';
import { groupSecretFor, memberPathKey, pathKeyFor } from './derive.ts';
import { groupIdOf, issueGroup, issueMember, mayBeNamed } from './group.ts';
import { issueOperator } from './operator-certificate.ts';

const vault = fixtureVault('groups');
const foreign = fixtureVault('groups of others');
const random = seededRandom('group');
const { vaultId, authorityKey } = vault.descriptor;
const groupKey = newSigningKey(random);
const terms: GroupCertificateBody = {
  version: 1,
  vaultId,
  name: 'hall-7',
  groupKey: groupKey.publicKey,
  uses: 40,
  names: ['gcms-*', 'hplc-*'],
  approve: false,
  selfRestore: true,
  dedupEpoch: 1,
  issuedAtMs: FIXTURE_TIME_MS,
  expiresAtMs: FIXTURE_TIME_MS + 604_800_000,
};
const group = issueGroup(vault.authority, terms);
const keys = () => ({ signKey: newSigningKey(random), boxKey: newBoxKey(random).publicKey });
const code = (expected: string) => expect.objectContaining({ code: expected });
const check = (enrolment: Signed, binding: Signed) =>
  verifyAgent(authorityKey, vaultId, enrolment, binding);

/**
 * A binding as somebody would make it who has the bundle's group key, and puts something else into
 * it.
 */
function forged(
  binding: Signed,
  change: (body: AgentBindingBody) => AgentBindingBody,
  key = groupKey,
): Signed {
  return sign(
    key,
    'aliquot/v1/group-binding',
    encodeAgentBindingBody(change(decodeAgentBindingBody(binding.body))),
  );
}

describe('an agent of a group', () => {
  const own = keys();
  const binding = issueMember(vaultId, groupKey, 'hplc-7', own);

  test('is what the certificate and its binding say, and begins a lineage of its own in the group', () => {
    const agent = check(group, binding);
    expect(agent.enrolment).toMatchObject({
      name: 'hplc-7',
      selfRestore: true,
      dedupEpoch: 1,
      replaces: undefined,
    });
    expect(agent.enrolment.lineageId).toEqual(agent.enrolment.agentId);
    expect(agent.enrolment.lineageGroup).toEqual(groupIdOf(groupKey.publicKey));
    expect(agent.binding.signKey).toEqual(own.signKey.publicKey);
    expect(agent.group).toEqual(terms);
    expect(readAgent(group, binding)).toEqual(agent);
    const single = fixtureAgent(vault, 'alone');
    expect(readAgent(single.enrolment, single.binding)).toEqual(
      check(single.enrolment, single.binding),
    );
    expect(readAgent(single.enrolment, undefined)).toMatchObject({
      binding: undefined,
      enrolment: { name: 'alone' },
    });
  });

  test('has another id with every other key, group or vault, and the same again with the same', () => {
    const idOf = (made: Signed) => hex(decodeAgentBindingBody(made.body).agentId);
    const other = newSigningKey(random);
    const ids = [
      idOf(binding),
      idOf(issueMember(vaultId, groupKey, 'hplc-7', keys())),
      idOf(issueMember(vaultId, other, 'hplc-7', own)),
      idOf(issueMember(foreign.descriptor.vaultId, groupKey, 'hplc-7', own)),
    ];
    expect(new Set(ids).size).toBe(4);
    expect(
      idOf(
        issueMember(vaultId, groupKey, 'gcms-1', { ...own, boxKey: newBoxKey(random).publicKey }),
      ),
    ).toBe(ids[0]);
  });

  test('P4: who finds the bundle binds no keys of theirs under an id that is borne, and no key that they do not have', () => {
    const thief = keys();
    const mine = issueMember(vaultId, groupKey, 'hplc-8', thief);
    const victim = decodeAgentBindingBody(binding.body);
    // The victim's id with one's own keys.
    expect(() =>
      check(
        group,
        forged(mine, (body) => ({ ...body, agentId: victim.agentId })),
      ),
    ).toThrowError(code('CERT_ID_MISMATCH'));
    // The victim's key with a box key of one's own: what is sealed to the victim could be read.
    const boxKey = newBoxKey(random).publicKey;
    expect(() =>
      check(
        group,
        forged(binding, (body) => ({ ...body, boxKey })),
      ),
    ).toThrowError(code('CERT_SIGNATURE'));
    // The victim's keys under another name.
    const renamed = (body: AgentBindingBody) => ({
      ...body,
      member: body.member && { ...body.member, name: 'hplc-9' },
    });
    expect(() => check(group, forged(binding, renamed))).toThrowError(code('CERT_SIGNATURE'));
    // A name that is not the group's.
    expect(() => check(group, issueMember(vaultId, groupKey, 'backup-server', thief))).toThrowError(
      code('CERT_NAME'),
    );
    // Without the group's key.
    expect(() =>
      check(
        group,
        forged(mine, (body) => body, thief.signKey),
      ),
    ).toThrowError(code('CERT_SIGNATURE'));
    // In a group that the authority did not certify, in one of another vault, or under a single
    // PC's certificate.
    expect(() => check(issueGroup(thief.signKey, terms), mine)).toThrowError(
      code('CERT_SIGNATURE'),
    );
    const elsewhere = { ...terms, vaultId: foreign.descriptor.vaultId };
    expect(() => check(issueGroup(vault.authority, elsewhere), mine)).toThrowError(
      code('CERT_OTHER_VAULT'),
    );
    const single = fixtureAgent(vault, 'single');
    expect(() => check(single.enrolment, mine)).toThrowError(code('CERT_SIGNATURE'));
    expect(() => check(group, single.binding)).toThrowError(code('CERT_SIGNATURE'));
    expect(() =>
      check(
        group,
        forged(mine, ({ member: _none, ...body }) => body),
      ),
    ).toThrowError(code('CERT_MALFORMED'));
    const asOne = decodeAgentBindingBody(mine.body);
    const dressed = issueBinding(single.enrolmentKey, { ...asOne, agentId: single.agentId });
    expect(() => check(single.enrolment, dressed)).toThrowError(code('CERT_MALFORMED'));
  });

  test('any one bit of certificate or binding makes it nobody', () => {
    fc.assert(
      fc.property(fc.nat(), fc.boolean(), (at, ofGroup) => {
        const flip = (signed: Signed): Signed => {
          const bit = at % (8 * (signed.body.length + 64));
          const part = bit < 8 * signed.body.length ? 'body' : 'signature';
          const bytes = signed[part].slice();
          const place = Math.floor((part === 'body' ? bit : bit - 8 * signed.body.length) / 8);
          bytes[place] = (bytes[place] ?? 0) ^ (1 << (bit % 8));
          return { ...signed, [part]: bytes };
        };
        expect(() =>
          ofGroup ? check(flip(group), binding) : check(group, flip(binding)),
        ).toThrowError(expect.objectContaining({ code: expect.stringMatching(/^CERT_/) }));
      }),
      { numRuns: 300 },
    );
  });

  test('its path key comes from the group’s secret, which the kit can make; the secret tells no other lineage', () => {
    const { enrolment } = check(group, binding);
    const { pathSecret } = vault.kit;
    const secret = groupSecretFor(pathSecret, groupIdOf(groupKey.publicKey));
    expect(pathKeyFor(pathSecret, enrolment)).toEqual(memberPathKey(secret, enrolment.lineageId));
    expect(pathKeyFor(pathSecret, { lineageId: enrolment.lineageId })).not.toEqual(
      pathKeyFor(pathSecret, enrolment),
    );
    expect(groupSecretFor(pathSecret, groupIdOf(newSigningKey(random).publicKey))).not.toEqual(
      secret,
    );
    expect(groupSecretFor(foreign.kit.pathSecret, groupIdOf(groupKey.publicKey))).not.toEqual(
      secret,
    );
  });
});

describe('the names of a group', () => {
  test.each([
    [[], 'anything', true],
    [['hplc-*'], 'hplc-1', true],
    [['hplc-*'], 'HPLC-1', true],
    [['hplc-*'], 'hplc-', true],
    [['hplc-*'], 'xhplc-1', false],
    [['hplc'], 'hplc-1', false],
    [['*-7'], 'hplc-7', true],
    [['*-7'], '-7', true],
    [['h*-7'], 'h-7', true],
    [['h*7*9'], 'h779', true],
    [['h*7*9'], 'h79', true],
    [['h*7*9'], 'h9', false],
    [['a*a'], 'a', false],
    [['*'], 'x', true],
    [['gcms', 'hplc-*'], 'gcms', true],
  ] as const)('%j and %s: %s', (names, name, fits) => {
    expect(mayBeNamed({ names }, name)).toBe(fits);
  });

  test('a pattern means what a regular expression of it would', () => {
    const letters = fc.stringMatching(/^[ab*]{1,8}$/);
    fc.assert(
      fc.property(letters, fc.stringMatching(/^[ab]{1,10}$/), (pattern, name) => {
        expect(mayBeNamed({ names: [pattern] }, name)).toBe(
          new RegExp(`^${pattern.replaceAll('*', '.*')}$`).test(name),
        );
      }),
      { numRuns: 500 },
    );
  });
});

describe('an approval', () => {
  const own = { signKey: newSigningKey(random), boxKey: newBoxKey(random) };
  const binding = issueMember(vaultId, groupKey, 'hplc-7', {
    signKey: own.signKey,
    boxKey: own.boxKey.publicKey,
  });
  const { agentId } = decodeAgentBindingBody(binding.body);
  const body = {
    version: 1,
    vaultId,
    agentId,
    approvedAtMs: FIXTURE_TIME_MS,
    successor: undefined,
  } as const;
  const operatorKey = newSigningKey(random);
  const operator = (purposes: readonly ('settings' | 'agents')[], authority = vault.authority) =>
    issueOperator(authority, {
      version: 1,
      vaultId,
      name: 'maria',
      signKey: operatorKey.publicKey,
      boxKey: newBoxKey(random).publicKey,
      purposes,
      issuedAtMs: FIXTURE_TIME_MS,
      expiresAtMs: FIXTURE_TIME_MS + 1000,
    });
  const judge = (approval: Signed, certificate?: Signed, nowMs = FIXTURE_TIME_MS) =>
    verifyApproval(authorityKey, vaultId, { approval, operator: certificate }, nowMs);

  test('is the word of the authority, or of an operator for agents within their term', () => {
    expect(judge(issueApproval(vault.authority, body)).body).toEqual(body);
    const byOperator = issueApproval(operatorKey, body);
    expect(judge(byOperator, operator(['settings', 'agents'])).body).toEqual(body);
    expect(() => judge(byOperator)).toThrowError(code('CERT_SIGNATURE'));
    expect(() => judge(byOperator, operator(['settings']))).toThrowError(code('CERT_PURPOSE'));
    expect(() => judge(byOperator, operator(['agents']), FIXTURE_TIME_MS + 1000)).toThrowError(
      code('CERT_EXPIRED'),
    );
    expect(() => judge(byOperator, operator(['agents'], foreign.authority))).toThrowError(
      code('CERT_SIGNATURE'),
    );
    expect(() =>
      judge(issueApproval(vault.authority, { ...body, vaultId: foreign.descriptor.vaultId })),
    ).toThrowError(code('CERT_OTHER_VAULT'));
  });

  test('names a successor only by the authority’s own word and certificate', () => {
    const old = fixtureAgent(vault, 'hplc-old');
    const successorBody = {
      version: 1,
      vaultId,
      agentId: seededRandom('successor').bytes(16) as typeof agentId,
      lineageId: seededRandom('lineage').bytes(16) as Parameters<typeof pathKeyFor>[1]['lineageId'],
      replaces: old.agentId,
      name: 'hplc-7',
      enrolmentKey: own.signKey.publicKey,
      selfRestore: true,
      dedupEpoch: 1,
      issuedAtMs: FIXTURE_TIME_MS,
      expiresAtMs: FIXTURE_TIME_MS + 1000,
    } as const;
    const pathKey = pathKeyFor(vault.kit.pathSecret, successorBody);
    const naming = (signer: typeof vault.authority, change: object = {}) => {
      const enrolment = issueEnrolment(signer, { ...successorBody, ...change });
      return {
        ...body,
        successor: sealPathKey(pathKey, successorBody, enrolment, own.boxKey.publicKey, random),
      };
    };
    expect(() =>
      judge(issueApproval(operatorKey, naming(vault.authority)), operator(['agents'])),
    ).toThrowError(code('CERT_PURPOSE'));
    const approved = judge(issueApproval(vault.authority, naming(vault.authority)));
    if (approved.body.successor === undefined || approved.successor === undefined)
      throw new Error('no successor');
    expect(isSuccessorOf(approved.successor, decodeAgentBindingBody(binding.body))).toBe(true);
    expect(openPathKey(approved.body.successor, approved.successor, own.boxKey)).toEqual(pathKey);
    const stranger = newBoxKey(random);
    const { successor: sealed } = approved.body;
    const { successor } = approved;
    expect(() => openPathKey(sealed, successor, stranger)).toThrowError(code('CERT_MALFORMED'));
    expect(() => openPathKey(sealed, { ...successor, agentId }, own.boxKey)).toThrowError(
      code('CERT_MALFORMED'),
    );
    expect(() => judge(issueApproval(vault.authority, naming(operatorKey)))).toThrowError(
      code('CERT_SIGNATURE'),
    );
    expect(() =>
      judge(issueApproval(vault.authority, naming(vault.authority, { replaces: undefined }))),
    ).toThrowError(code('CERT_OTHER_AGENT'));
    const another = { ...successor, enrolmentKey: stranger.publicKey };
    expect(isSuccessorOf(another, decodeAgentBindingBody(binding.body))).toBe(false);
    expect(
      isSuccessorOf({ ...successor, name: 'hplc-8' }, decodeAgentBindingBody(binding.body)),
    ).toBe(false);
    expect(verifyEnrolment(authorityKey, vaultId, sealed.enrolment)).toEqual({
      ...successorBody,
      lineageGroup: undefined,
    });
  });
});
