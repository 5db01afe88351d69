import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  decodeEnrolRequest,
  encodeEnrolAnswer,
  type GroupCertificateBody,
  type Signed,
} from '@aliquot/proto';
import { newSigningKey } from '@aliquot/shared/crypto/sign';
import { nodeFiles } from '@aliquot/shared/durable/file-port';
import { issueApproval, sealPathKey } from '@aliquot/shared/keys/approval';
import { sealBundle } from '@aliquot/shared/keys/bundle';
import {
  bindingHashOf,
  issueEnrolAnswer,
  issueEnrolment,
  verifyAgent,
  verifyEnrolment,
} from '@aliquot/shared/keys/certificates';
import { groupSecretFor, pathKeyFor } from '@aliquot/shared/keys/derive';
import { groupIdOf, issueGroup } from '@aliquot/shared/keys/group';
import { FIXTURE_TIME_MS, fixtureAgent, seededRandom } from '@aliquot/shared/testing/keys/fixtures';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { temporaryFolder, vault } from '../../testing/queue/support.ts';
import { type EnrolOptions, enrol } from './enrol.ts';
import type { HttpAnswer } from './enrol-request.ts';
import type { AgentIdentity } from './identity.ts';
import { loadIdentity } from './identity-file.ts';
import { succeed } from './succeed.ts';

/**
 * A PC and the bundle of its group: its keys, its name, and what becomes of it when it is approved
 * in the place of another.
 */

let folder: ReturnType<typeof temporaryFolder>;
beforeEach(() => {
  folder = temporaryFolder();
});
afterEach(() => folder.remove());

const { vaultId, authorityKey } = vault.descriptor;
const groupKey = newSigningKey(seededRandom('group of a PC'));

function bundle(terms: Partial<GroupCertificateBody> = {}): string {
  const group = issueGroup(vault.authority, {
    ...{
      version: 1,
      vaultId,
      name: 'hall-7',
      groupKey: groupKey.publicKey,
      uses: 3,
      names: ['hplc-*'],
      approve: false,
      selfRestore: true,
    },
    ...{ dedupEpoch: 1, issuedAtMs: FIXTURE_TIME_MS, expiresAtMs: FIXTURE_TIME_MS + 86_400_000 },
    ...terms,
  });
  return sealBundle({
    ...{
      version: 1,
      url: 'http://127.0.0.1:9',
      tlsCa: '',
      tlsPins: [],
      descriptor: vault.kit.descriptor,
      addresses: undefined,
    },
    ...{
      collectorCertificate: vault.collectorCertificate,
      enrolment: group,
      enrolmentSeed: groupKey.seed,
      settings: undefined,
    },
    dedupSecrets: vault.kit.dedupSecrets,
    pathKey: undefined,
    groupSecret: groupSecretFor(vault.kit.pathSecret, groupIdOf(groupKey.publicKey)),
  });
}

/** A collector that takes everybody; `approval` is what it hands to who waits. */
function collector(approval?: () => Signed | undefined) {
  const asked: { readonly name: string; readonly binding: Signed }[] = [];
  const post = async (_trust: unknown, _path: string, body: Uint8Array): Promise<HttpAnswer> => {
    const { enrolment, binding } = decodeEnrolRequest(body);
    const agent = verifyAgent(authorityKey, vaultId, enrolment, binding);
    asked.push({ name: agent.enrolment.name, binding });
    const waits = agent.group?.approve === true;
    const answer = issueEnrolAnswer(vault.collector, {
      ...{
        version: 1,
        vaultId,
        agentId: agent.enrolment.agentId,
        bindingHash: bindingHashOf(binding),
        enrolledAtMs: FIXTURE_TIME_MS,
      },
      ...{ pending: waits, head: { logEpoch: 0, size: 1, root: new Uint8Array(32) } },
    });
    const shown = waits ? approval?.() : undefined;
    return {
      status: 200,
      body: encodeEnrolAnswer({
        answer,
        collectorCertificate: vault.collectorCertificate,
        approval: shown,
      }),
    };
  };
  return { post, asked };
}

function options(text: string, changes: Partial<EnrolOptions> = {}): EnrolOptions {
  const clock = { nowMs: () => FIXTURE_TIME_MS + 1000 };
  return {
    bundle: text,
    dataDir: folder.dir,
    port: nodeFiles,
    clock,
    random: seededRandom(folder.dir),
    ...changes,
  };
}

const named = (asked: string | undefined, host = 'HPLC-7.lab.example') => ({
  name: { asked, host },
});

describe('a PC of a group', () => {
  test('makes its keys, is called after its host name, and keeps neither the group’s key nor its secret', async () => {
    const { post } = collector();
    const made = await enrol(options(bundle(), { ...named(undefined), post }));
    const { enrolment, group } = made.certificate;
    expect([enrolment.name, group?.name, made.takesOver]).toEqual(['hplc-7', 'hall-7', undefined]);
    expect(made.pathKey).toEqual(pathKeyFor(vault.kit.pathSecret, enrolment));
    expect((await loadIdentity(nodeFiles, folder.dir)).certificate).toEqual(made.certificate);
    const kept = readFileSync(join(folder.dir, 'identity', 'identity.json'), 'utf8');
    for (const secret of [
      groupKey.seed,
      groupSecretFor(vault.kit.pathSecret, groupIdOf(groupKey.publicKey)),
    ])
      expect(kept).not.toContain(Buffer.from(secret).toString('base64'));
  });

  test('broken off, goes on with the same keys and name; another name then is refused, and one that the bundle does not allow always', async () => {
    const { post, asked } = collector();
    const broken: EnrolOptions['post'] = async (trust, path, body) => {
      await post(trust, path, body);
      throw new Error('cable pulled');
    };
    const text = bundle();
    await expect(enrol(options(text, { ...named('hplc-8'), post: broken }))).rejects.toThrow(
      'cable pulled',
    );
    await expect(enrol(options(text, { ...named('hplc-9'), post }))).rejects.toMatchObject({
      code: 'ENROL_OTHER_BEGUN',
    });
    const made = await enrol(
      options(text, { ...named(undefined), post, random: seededRandom('another run') }),
    );
    expect(made.certificate.enrolment.name).toBe('hplc-8');
    expect(asked.map(({ name }) => name)).toEqual(['hplc-8', 'hplc-8']);
    expect(asked[1]?.binding).toEqual(asked[0]?.binding);
    await expect(enrol(options(text, { ...named('hplc-9'), post }))).rejects.toMatchObject({
      code: 'ENROL_ALREADY',
    });
    expect((await enrol(options(text, { ...named('hplc-8'), post }))).signKey).toEqual(
      made.signKey,
    );
  });

  test.each([
    [named('office-1'), /named hplc-\*, and this one would be office-1.*--name NAME/],
    [named(undefined, 'office-1'), /would be office-1/],
    [named(undefined, '質量'), /host name .* gives no name.*--name NAME/],
    [named('hplc 7'), /"hplc 7" is no agent name/],
  ])('refuses a name before anybody hears of it: %j', async (name, says) => {
    const { post, asked } = collector();
    await expect(enrol(options(bundle(), { ...name, post }))).rejects.toMatchObject({
      code: 'ENROL_NAME',
      message: expect.stringMatching(says),
    });
    expect(asked).toEqual([]);
  });
});

describe('a PC that is approved in the place of another', () => {
  const old = fixtureAgent(vault, 'hplc-old');
  const oldEnrolment = verifyEnrolment(authorityKey, vaultId, old.enrolment);

  /** What `agents approve --replaces` makes. */
  function approvalFor(
    { certificate }: AgentIdentity,
    change: { readonly agentId?: AgentIdentity['certificate']['enrolment']['agentId'] } = {},
  ) {
    const { enrolment, binding } = certificate;
    const signed = issueEnrolment(vault.authority, {
      ...{
        version: 1,
        vaultId,
        agentId: seededRandom('successor').bytes(16) as typeof enrolment.agentId,
        lineageId: oldEnrolment.lineageId,
      },
      ...{
        replaces: oldEnrolment.agentId,
        name: enrolment.name,
        enrolmentKey: binding.signKey,
        selfRestore: true,
        dedupEpoch: 1,
      },
      ...{ issuedAtMs: FIXTURE_TIME_MS, expiresAtMs: FIXTURE_TIME_MS + 86_400_000 },
    });
    const successor = verifyEnrolment(authorityKey, vaultId, signed);
    const pathKey = pathKeyFor(vault.kit.pathSecret, successor);
    const sealed = sealPathKey(pathKey, successor, signed, binding.boxKey, seededRandom('seal'));
    const agentId = change.agentId ?? enrolment.agentId;
    return issueApproval(vault.authority, {
      version: 1,
      vaultId,
      agentId,
      approvedAtMs: FIXTURE_TIME_MS,
      successor: sealed,
    });
  }

  async function waiting() {
    let approval: Signed | undefined;
    const { post, asked } = collector(() => approval);
    const told: string[] = [];
    const onPending = () => void told.push('pending');
    const identity = await enrol(
      options(bundle({ approve: true }), { ...named('hplc-7'), post, onPending }),
    );
    expect(told).toEqual(['pending']);
    const addresses = { candidates: () => [identity.server] };
    const ask = (send = post) =>
      succeed({ port: nodeFiles, dataDir: folder.dir, identity, addresses, post: send });
    const approve = (signed: Signed): void => {
      approval = signed;
    };
    return { identity, ask, post, asked, approve };
  }

  test('stays as it is until then, and becomes the successor with the keys that it has and the path key of that lineage', async () => {
    const { identity, ask, approve } = await waiting();
    expect(await ask()).toBe(false);
    approve(approvalFor(identity));
    expect(await ask()).toBe(true);
    const become = await loadIdentity(nodeFiles, folder.dir);
    expect(become.certificate.enrolment).toMatchObject({
      name: 'hplc-7',
      replaces: old.agentId,
      lineageId: oldEnrolment.lineageId,
    });
    expect([become.signKey, become.boxKey, become.chainId]).toEqual([
      identity.signKey,
      identity.boxKey,
      identity.chainId,
    ]);
    expect(become.pathKey).toEqual(pathKeyFor(vault.kit.pathSecret, oldEnrolment));
    expect(become.pathKey).not.toEqual(identity.pathKey);
  });

  test('P1: broken off before it was kept, it binds the same keys again', async () => {
    const { identity, ask, approve, post, asked } = await waiting();
    approve(approvalFor(identity));
    let answers = 0;
    const broken: typeof post = async (trust, path, body) => {
      const answer = await post(trust, path, body);
      answers += 1;
      if (answers === 2) throw new Error('power lost');
      return answer;
    };
    await expect(ask(broken)).rejects.toThrow('power lost');
    expect((await loadIdentity(nodeFiles, folder.dir)).certificate).toEqual(identity.certificate);
    expect(await ask()).toBe(true);
    expect(asked.at(-1)?.binding).toEqual(asked.at(-3)?.binding);
  });

  test('P5: believes no approval that is another PC’s or not the authority’s', async () => {
    const { identity, ask, approve } = await waiting();
    approve(approvalFor(identity, { agentId: old.agentId }));
    await expect(ask()).rejects.toMatchObject({ code: 'ENROL_BAD_ANSWER' });
    const good = approvalFor(identity);
    approve({ ...good, signature: new Uint8Array(64) });
    await expect(ask()).rejects.toMatchObject({ code: 'ENROL_BAD_ANSWER' });
    expect((await loadIdentity(nodeFiles, folder.dir)).certificate).toEqual(identity.certificate);
  });
});
