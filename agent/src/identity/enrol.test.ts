import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import {
  type BundleContents,
  type ChainId,
  decodeEnrolRequest,
  encodeEnrolAnswer,
  type Signed,
} from '@aliquot/proto';
import { newSigningKey } from '@aliquot/shared/crypto/sign';
import { nodeFiles } from '@aliquot/shared/durable/file-port';
import { sealBundle } from '@aliquot/shared/keys/bundle';
import {
  bindingHashOf,
  issueAddresses,
  issueEnrolAnswer,
  issueEnrolment,
  verifyAgent,
} from '@aliquot/shared/keys/certificates';
import { pathKeyFor } from '@aliquot/shared/keys/derive';
import {
  FIXTURE_TIME_MS,
  fixtureAgent,
  fixtureVault,
  seededRandom,
} from '@aliquot/shared/testing/keys/fixtures';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { temporaryFolder, vault } from '../../testing/queue/support.ts';
import { fsckIdentity } from '../uplink/fsck.ts';
import { TrustStore } from '../uplink/trust.ts';
import { type EnrolOptions, enrol } from './enrol.ts';
import { type HttpAnswer, post } from './enrol-request.ts';
import { IdentityError } from './errors.ts';
import { loadIdentity } from './identity-file.ts';

let folder: ReturnType<typeof temporaryFolder>;

beforeEach(() => {
  folder = temporaryFolder();
});

afterEach(() => folder.remove());

function contentsFor(name: string, url = 'http://127.0.0.1:9'): BundleContents {
  const agent = fixtureAgent(vault, name);
  const { lineageId } = verifyAgent(
    vault.descriptor.authorityKey,
    vault.descriptor.vaultId,
    agent.enrolment,
    agent.binding,
  ).enrolment;
  return {
    version: 1,
    url,
    tlsCa: '',
    tlsPins: [],
    descriptor: vault.kit.descriptor,
    collectorCertificate: vault.collectorCertificate,
    enrolment: agent.enrolment,
    enrolmentSeed: agent.enrolmentKey.seed,
    dedupSecrets: vault.kit.dedupSecrets,
    pathKey: pathKeyFor(vault.kit.pathSecret, { lineageId }),
    addresses: undefined,
    settings: undefined,
  };
}

function bundleFor(
  name = 'gcms-1',
  url?: string,
): { readonly text: string; readonly seed: Uint8Array } {
  const contents = contentsFor(name, url);
  return { text: sealBundle(contents), seed: contents.enrolmentSeed };
}

/**
 * Answers like the collector of the fixture vault; remembers which keys each enrolment came with.
 */
function desk(signer = vault.collector, certificate: Signed = vault.collectorCertificate) {
  const bound = new Map<string, string>();
  const requests: Uint8Array[] = [];
  const answer = async (_trust: unknown, _path: string, body: Uint8Array): Promise<HttpAnswer> => {
    requests.push(body);
    const { enrolment, binding } = decodeEnrolRequest(body);
    const agent = verifyAgent(
      vault.descriptor.authorityKey,
      vault.descriptor.vaultId,
      enrolment,
      binding,
    );
    const keys = Buffer.from(binding.body).toString('hex');
    const name = agent.enrolment.name;
    if ((bound.get(name) ?? keys) !== keys)
      return { status: 409, body: Buffer.from('{"code":"ENROL_OTHER_KEYS","message":"used"}') };
    bound.set(name, keys);
    const signed = issueEnrolAnswer(signer, {
      version: 1,
      vaultId: vault.descriptor.vaultId,
      agentId: agent.enrolment.agentId,
      bindingHash: bindingHashOf(binding),
      enrolledAtMs: FIXTURE_TIME_MS,
      pending: false,
      head: { logEpoch: 0, size: 1, root: new Uint8Array(32) },
    });
    return {
      status: 200,
      body: encodeEnrolAnswer({ answer: signed, collectorCertificate: certificate }),
    };
  };
  return { answer, requests };
}

function options(bundle: string, changes: Partial<EnrolOptions> = {}): EnrolOptions {
  const clock = { nowMs: () => FIXTURE_TIME_MS + 1000 };
  return {
    bundle,
    dataDir: folder.dir,
    port: nodeFiles,
    clock,
    random: seededRandom(folder.dir),
    ...changes,
  };
}

const identityDir = (): string => join(folder.dir, 'identity');

describe('enrolling', () => {
  test('makes an identity that loads again, in files that only the owner reads, without the one-time key', async () => {
    const bundle = bundleFor();
    const made = await enrol(options(bundle.text, { post: desk().answer }));
    const loaded = await loadIdentity(nodeFiles, folder.dir);
    expect(loaded.certificate.enrolment.name).toBe('gcms-1');
    expect(loaded.signKey).toEqual(made.signKey);
    expect(readdirSync(identityDir())).toEqual(['identity.json']);
    if (process.platform !== 'win32')
      expect(statSync(join(identityDir(), 'identity.json')).mode & 0o777).toBe(0o600);
    const text = readFileSync(join(identityDir(), 'identity.json'), 'utf8');
    expect(text).not.toContain(Buffer.from(bundle.seed).toString('base64'));
  });

  test('broken off after the keys were made, the same command goes on with the same keys, even after the term', async () => {
    const bundle = bundleFor();
    const { answer, requests } = desk();
    const broken = options(bundle.text, {
      post: async (trust, path, body) => {
        await answer(trust, path, body);
        throw new Error('cable pulled');
      },
    });
    await expect(enrol(broken)).rejects.toThrow('cable pulled');
    await expect(loadIdentity(nodeFiles, folder.dir)).rejects.toMatchObject({
      code: 'IDENTITY_MISSING',
    });
    const late = { nowMs: () => FIXTURE_TIME_MS + 10 * 86_400_000 };
    await enrol(
      options(bundle.text, { post: answer, clock: late, random: seededRandom('another run') }),
    );
    expect(requests[1]).toEqual(requests[0]);
    expect(readdirSync(identityDir())).toEqual(['identity.json']);
    await enrol(options(bundle.text, { post: answer, clock: late }));
    expect(requests).toHaveLength(2);
  });

  test('the bundle used with other keys fails loudly', async () => {
    const bundle = bundleFor();
    const { answer } = desk();
    await enrol(options(bundle.text, { post: answer }));
    const other = temporaryFolder();
    const again = enrol(
      options(bundle.text, { post: answer, dataDir: other.dir, random: seededRandom('other') }),
    );
    await expect(again).rejects.toMatchObject({ code: 'ENROL_BUNDLE_USED' });
    other.remove();
  });

  test('another bundle does not take over a folder that is enrolled or being enrolled', async () => {
    const { answer } = desk();
    const failing = options(bundleFor('a').text, {
      post: async () => ({ status: 500, body: new Uint8Array() }),
    });
    await expect(enrol(failing)).rejects.toMatchObject({
      code: 'ENROL_COLLECTOR_FAILED',
      retryable: true,
    });
    await expect(enrol(options(bundleFor('b').text, { post: answer }))).rejects.toMatchObject({
      code: 'ENROL_OTHER_BEGUN',
    });
    await enrol(options(bundleFor('a').text, { post: answer }));
    await expect(enrol(options(bundleFor('b').text, { post: answer }))).rejects.toMatchObject({
      code: 'ENROL_ALREADY',
    });
  });

  test('an expired, damaged or foreign bundle is refused before the network is touched', async () => {
    const { answer, requests } = desk();
    const { text } = bundleFor();
    const late = { nowMs: () => FIXTURE_TIME_MS + 10 * 86_400_000 };
    await expect(enrol(options(text, { post: answer, clock: late }))).rejects.toMatchObject({
      code: 'BUNDLE_EXPIRED',
    });
    const lines = text.split('\n');
    lines[8] = (lines[8] ?? '').split('').reverse().join('');
    await expect(enrol(options(lines.join('\n'), { post: answer }))).rejects.toMatchObject({
      code: 'BUNDLE_CORRUPT',
    });
    await expect(enrol(options('hello', { post: answer }))).rejects.toMatchObject({
      code: 'BUNDLE_NOT_A_BUNDLE',
    });
    expect(requests).toEqual([]);
    expect(readdirSync(identityDir())).toEqual([]);
  });

  test('what is not the vault’s collector is not believed', async () => {
    const thief = newSigningKey(seededRandom('thief'));
    const foreign = fixtureVault('another lab');
    const impostors = [desk(thief), desk(foreign.collector, foreign.collectorCertificate)];
    for (const { answer } of impostors) {
      await expect(enrol(options(bundleFor().text, { post: answer }))).rejects.toMatchObject({
        code: 'ENROL_BAD_ANSWER',
      });
    }
    const babble = async () => ({ status: 200, body: Buffer.from('ok') });
    await expect(enrol(options(bundleFor().text, { post: babble }))).rejects.toMatchObject({
      code: 'ENROL_BAD_ANSWER',
    });
    await expect(loadIdentity(nodeFiles, folder.dir)).rejects.toMatchObject({
      code: 'IDENTITY_MISSING',
    });
  });

  test('each refusal of the collector has its own code', async () => {
    const refusals: readonly [number, string, string][] = [
      [403, '{"message":"who?"}', 'ENROL_UNKNOWN'],
      [403, '{"code":"ENROL_REVOKED","message":"revoked"}', 'ENROL_REVOKED'],
      [409, '', 'ENROL_BUNDLE_USED'],
      [410, '', 'ENROL_BUNDLE_EXPIRED'],
      [418, '{"message":"tea\\u0000\\npot"}', 'ENROL_REFUSED'],
    ];
    for (const [status, body, code] of refusals) {
      const refused = enrol(
        options(bundleFor().text, { post: async () => ({ status, body: Buffer.from(body) }) }),
      );
      await expect(refused).rejects.toMatchObject({ code });
      await expect(refused).rejects.not.toThrow(/[\n\0]/);
    }
  });

  test('after a definite refusal the folder takes another bundle; a bare status, or one that may pass, keeps what was begun', async () => {
    const { answer } = desk();
    const refusedWith = (status: number, body: string) => async () => ({
      status,
      body: Buffer.from(body),
    });
    for (const [status, code] of [
      [403, 'ENROL_UNKNOWN'],
      [403, 'ENROL_REVOKED'],
      [409, 'ENROL_OTHER_KEYS'],
      [410, 'ENROL_EXPIRED'],
    ] as const) {
      const body = JSON.stringify({ code, message: 'no' });
      await expect(
        enrol(options(bundleFor('a').text, { post: refusedWith(status, body) })),
      ).rejects.toMatchObject({ retryable: false });
      expect(readdirSync(identityDir())).toEqual([]);
    }
    for (const [status, body] of [
      [404, '<html>no such page</html>'],
      [409, ''],
      [429, '{"code":"ENROL_UNKNOWN"}'],
      [503, '{"code":"ENROL_UNKNOWN"}'],
    ] as const) {
      await expect(
        enrol(options(bundleFor('a').text, { post: refusedWith(status, body) })),
      ).rejects.toThrow();
      await expect(enrol(options(bundleFor('b').text, { post: answer }))).rejects.toMatchObject({
        code: 'ENROL_OTHER_BEGUN',
      });
    }
    const unknown = refusedWith(403, '{"code":"ENROL_UNKNOWN","message":"who?"}');
    await expect(enrol(options(bundleFor('a').text, { post: unknown }))).rejects.toMatchObject({
      code: 'ENROL_UNKNOWN',
    });
    expect(
      (await enrol(options(bundleFor('b').text, { post: answer }))).certificate.enrolment.name,
    ).toBe('b');
  });

  test('a damaged identity is named and tells no secret', async () => {
    await enrol(options(bundleFor().text, { post: desk().answer }));
    const path = join(identityDir(), 'identity.json');
    const text = readFileSync(path, 'utf8');
    const seed = /"signSeed": "([^"]+)"/.exec(text)?.[1] ?? '';
    writeFileSync(path, text.replace('"version": 1', '"version": 9'));
    const failure = await loadIdentity(nodeFiles, folder.dir).catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: 'IDENTITY_DAMAGED' });
    expect(String(failure)).not.toContain(seed);
    writeFileSync(path, text.slice(0, 100));
    await expect(loadIdentity(nodeFiles, folder.dir)).rejects.toMatchObject({
      code: 'IDENTITY_DAMAGED',
    });
  });
});

describe('enrolling a folder anew in place', () => {
  const chain = new Uint8Array(16).fill(9) as ChainId;

  /** A bundle for the agent that takes the place of `old`. */
  function successorOf(old: string, name: string, changes: Partial<BundleContents> = {}): string {
    const before = fixtureAgent(vault, old);
    const key = newSigningKey(seededRandom(`successor ${name}`));
    const replaced = verifyAgent(
      vault.descriptor.authorityKey,
      vault.descriptor.vaultId,
      before.enrolment,
      before.binding,
    ).enrolment;
    const enrolment = issueEnrolment(vault.authority, {
      ...replaced,
      agentId: seededRandom(`id of ${name}`).bytes(16) as typeof replaced.agentId,
      replaces: replaced.agentId,
      name,
      enrolmentKey: key.publicKey,
    });
    return sealBundle({ ...contentsFor(old), enrolment, enrolmentSeed: key.seed, ...changes });
  }

  test('keeps the chunk cache’s secret and the chain that it goes on from; everything else is new', async () => {
    const { answer } = desk();
    const old = await enrol(options(bundleFor('pc').text, { post: answer }));
    const made = await enrol(
      options(successorOf('pc', 'pc-b'), {
        post: answer,
        takesOver: chain,
        random: seededRandom('anew'),
      }),
    );
    expect(made).toMatchObject({
      takesOver: chain,
      cacheSecret: old.cacheSecret,
      pathKey: old.pathKey,
    });
    expect(made.signKey).not.toEqual(old.signKey);
    expect(made.chainId).not.toEqual(old.chainId);
    const loaded = await loadIdentity(nodeFiles, folder.dir);
    expect(loaded.certificate.enrolment.name).toBe('pc-b');
    expect(loaded.takesOver).toEqual(chain);
  });

  test('P1: broken off before or after the answer, the old identity stays until the same command ends it', async () => {
    const { answer, requests } = desk();
    await enrol(options(bundleFor('pc').text, { post: answer }));
    const bundle = successorOf('pc', 'pc-b');
    const cut: NonNullable<EnrolOptions['post']> = async (trust, path, body) => {
      await answer(trust, path, body);
      throw new IdentityError('ENROL_UNREACHABLE', 'cable pulled');
    };
    await expect(enrol(options(bundle, { post: cut, takesOver: chain }))).rejects.toMatchObject({
      code: 'ENROL_UNREACHABLE',
    });
    expect((await loadIdentity(nodeFiles, folder.dir)).certificate.enrolment.name).toBe('pc');
    // Another bundle does not take the place of what was begun.
    const another = options(successorOf('pc', 'pc-c'), { post: answer, takesOver: chain });
    await expect(enrol(another)).rejects.toMatchObject({ code: 'ENROL_OTHER_BEGUN' });
    const late = { nowMs: () => FIXTURE_TIME_MS + 10 * 86_400_000 };
    await enrol(
      options(bundle, {
        post: answer,
        takesOver: chain,
        clock: late,
        random: seededRandom('again'),
      }),
    );
    expect(requests[2]).toEqual(requests[1]);
    expect((await loadIdentity(nodeFiles, folder.dir)).certificate.enrolment.name).toBe('pc-b');
  });

  test('is refused to a bundle for another agent’s successor, to an expired one, and without the word that the queue may be taken over', async () => {
    const { answer, requests } = desk();
    await enrol(options(bundleFor('pc').text, { post: answer }));
    const elsewhere = options(successorOf('another', 'pc-b'), { post: answer, takesOver: chain });
    await expect(enrol(elsewhere)).rejects.toMatchObject({ code: 'ENROL_ALREADY' });
    const late = { nowMs: () => FIXTURE_TIME_MS + 10 * 86_400_000 };
    const expired = options(successorOf('pc', 'pc-b'), {
      post: answer,
      takesOver: chain,
      clock: late,
    });
    await expect(enrol(expired)).rejects.toMatchObject({ code: 'BUNDLE_EXPIRED' });
    await expect(enrol(options(successorOf('pc', 'pc-b'), { post: answer }))).rejects.toMatchObject(
      { code: 'ENROL_ALREADY' },
    );
    expect(requests).toHaveLength(1);
    expect((await loadIdentity(nodeFiles, folder.dir)).certificate.enrolment.name).toBe('pc');
  });

  test('P6: the addresses of the bundle are tried in order, the signed ones first, and kept', async () => {
    const { answer } = desk();
    const addresses = issueAddresses(vault.authority, {
      version: 1,
      vaultId: vault.descriptor.vaultId,
      revision: 3,
      addresses: ['https://one.lab', 'https://two.lab'].map((url) => ({
        url,
        tlsCa: '',
        tlsPins: [],
      })),
    });
    const tried: string[] = [];
    const only =
      (reached: string): NonNullable<EnrolOptions['post']> =>
      async (trust, path, body) => {
        tried.push(trust.url);
        if (trust.url !== reached)
          throw new IdentityError('ENROL_UNREACHABLE', `nothing at ${trust.url}`);
        return answer(trust, path, body);
      };
    const bundle = sealBundle({ ...contentsFor('pc'), addresses });
    await expect(enrol(options(bundle, { post: only('nowhere') }))).rejects.toThrow(
      'nothing at https://one.lab',
    );
    tried.splice(0);
    const identity = await enrol(options(bundle, { post: only('http://127.0.0.1:9') }));
    expect(tried).toEqual(['https://one.lab', 'https://two.lab', 'http://127.0.0.1:9']);
    const trust = await TrustStore.open(nodeFiles, folder.dir, identity);
    expect(trust.addresses.candidates().map(({ url }) => url)).toEqual(tried);
    expect(trust.addresses.revision).toBe(3);
  });
});

describe('the network of an enrolment', () => {
  const trust = (url: string) => ({ url, tlsCa: '', tlsPins: [] });

  test('posts the bytes and gives status and body back', async () => {
    const server = createServer((request, response) => {
      const parts: Buffer[] = [];
      request.on('data', (part: Buffer) => parts.push(part));
      request.on('end', () =>
        response
          .writeHead(409)
          .end(Buffer.concat([Buffer.from(`${request.method} ${request.url} `), ...parts])),
      );
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const answer = await post(trust(`http://127.0.0.1:${port}`), '/v1/enrol', Buffer.from('hello'));
    expect(answer.status).toBe(409);
    expect(Buffer.from(answer.body).toString()).toBe('POST /v1/enrol hello');
    server.close();
    await expect(
      post(trust(`http://127.0.0.1:${port}`), '/', new Uint8Array()),
    ).rejects.toMatchObject({
      code: 'ENROL_UNREACHABLE',
      retryable: true,
    });
  });

  test('plain http to another machine is refused', () => {
    expect(() => post(trust('http://lab.example:80'), '/', new Uint8Array())).toThrow(
      /not encrypted/,
    );
  });
});

test('a damaged memory of the newest head is found by fsck, stops the uplink, and is forgotten by repair', async () => {
  const identity = await enrol(options(bundleFor().text, { post: desk().answer }));
  const trust = await TrustStore.open(nodeFiles, folder.dir, identity);
  await trust.remember(identity.collector, vault.collectorCertificate, undefined);
  writeFileSync(TrustStore.path(folder.dir), '{"version":1}');
  await expect(TrustStore.open(nodeFiles, folder.dir, identity)).rejects.toMatchObject({
    code: 'UPLINK_TRUST_DAMAGED',
  });
  const check = async (repair: boolean) => {
    const codes: string[] = [];
    for await (const finding of fsckIdentity(nodeFiles, folder.dir, repair))
      codes.push(finding.code);
    return codes;
  };
  expect(await check(false)).toEqual(['FSCK_TRUST_DAMAGED']);
  expect(await check(true)).toEqual(['FSCK_TRUST_DAMAGED']);
  expect(await check(false)).toEqual([]);
  expect((await TrustStore.open(nodeFiles, folder.dir, identity)).verified).toBeUndefined();
});
