import { asLineageId, type BundleContents, encodeBundleContents } from '@aliquot/proto';
import { describe, expect, test } from 'vitest';
import {
  FIXTURE_TIME_MS,
  fixtureAgent,
  fixtureVault,
  seededRandom,
} from '../../testing/keys/fixtures.ts';
import vectors from '../../vectors/bundle-1.json' with { type: 'json' };
import { hex } from '../crypto/bytes.ts';
import { armor } from './armor.ts';
import { openBundle, sealBundle } from './bundle.ts';
import { issueAddresses, issueCollectorCertificate } from './certificates.ts';
import { pathKeyFor } from './derive.ts';

const BUNDLE = 'ALIQUOT ENROLMENT BUNDLE';
const DAY_MS = 86_400_000;
const vault = fixtureVault('bundle');
const foreign = fixtureVault('bundle foreign');
const agent = fixtureAgent(vault, 'hplc-7');
const contents: BundleContents & { readonly pathKey: Uint8Array } = {
  version: 1,
  url: 'http://127.0.0.1:8080',
  tlsCa: '',
  tlsPins: [],
  descriptor: vault.kit.descriptor,
  collectorCertificate: vault.collectorCertificate,
  enrolment: agent.enrolment,
  enrolmentSeed: agent.enrolmentKey.seed,
  dedupSecrets: vault.kit.dedupSecrets,
  addresses: undefined,
  settings: undefined,
  pathKey: pathKeyFor(vault.kit.pathSecret, {
    lineageId: asLineageId(seededRandom('lineage').bytes(16)),
  }),
};
const addressesOf = ({ authority, descriptor }: typeof vault) =>
  issueAddresses(authority, {
    version: 1,
    vaultId: descriptor.vaultId,
    revision: 3,
    addresses: [{ url: 'https://new.lab', tlsCa: '', tlsPins: [] }],
  });
const text = sealBundle(contents);
const code = (value: string) => expect.objectContaining({ code: value, retryable: false });

/** A bundle as somebody else's program might write it: armoured without being verified first. */
const forged = (change: Partial<BundleContents>) =>
  armor(BUNDLE, [], encodeBundleContents({ ...contents, ...change }));

describe('enrolment bundle', () => {
  test('opens to what was sealed, with everything in it verified', () => {
    const open = openBundle(text, FIXTURE_TIME_MS);
    expect(open).toMatchObject({
      url: contents.url,
      dedupSecrets: contents.dedupSecrets,
      pathKey: contents.pathKey,
    });
    expect(open.descriptor).toEqual(vault.descriptor);
    expect(open.collector.signKey).toEqual(vault.collector.publicKey);
    expect(open.enrolment.name).toBe('hplc-7');
    expect(open.enrolmentKey).toEqual(agent.enrolmentKey);
    expect([open.signedDescriptor, open.signedCollector, open.signedEnrolment]).toEqual([
      contents.descriptor,
      contents.collectorCertificate,
      contents.enrolment,
    ]);
  });

  test('carries the signed addresses that the collector had', () => {
    const signed = addressesOf(vault);
    expect(
      openBundle(sealBundle({ ...contents, addresses: signed }), FIXTURE_TIME_MS).signedAddresses,
    ).toEqual(signed);
  });

  test('says in plain words that it is a secret even after expiry', () => {
    const header = text.slice(0, text.indexOf('\n\n'));
    expect(header).toContain('This file is a secret, and stays one after it has expired');
    expect(header).toContain('Agent: hplc-7');
    expect(header).toContain(new Date(FIXTURE_TIME_MS + DAY_MS).toISOString());
  });

  test('expires at its very millisecond, and opens without a clock to repeat an enrolment begun in time', () => {
    expect(() => openBundle(text, FIXTURE_TIME_MS + DAY_MS - 1)).not.toThrow();
    expect(() => openBundle(text, FIXTURE_TIME_MS + DAY_MS)).toThrowError(code('BUNDLE_EXPIRED'));
    expect(() => openBundle(text)).not.toThrow();
  });

  test('any one bit of its bytes makes it unusable', () => {
    const bytes = encodeBundleContents(contents);
    // url, path key and dedup secret are not signed: the checksum alone guards them, and only
    // against accidents.
    const openBytes = [contents.pathKey, ...contents.dedupSecrets.map((dedup) => dedup.secret)];
    const unsigned = new Set<number>();
    for (const part of [...openBytes, new TextEncoder().encode(contents.url)]) {
      const start = hex(bytes).indexOf(hex(part)) / 2;
      for (let at = start; at < start + part.length; at += 1) unsigned.add(at);
    }
    for (let at = 0; at < bytes.length; at += 1) {
      const altered = bytes.slice();
      altered[at] = (altered[at] ?? 0) ^ 1;
      if (unsigned.has(at)) continue;
      expect(
        () => openBundle(armor(BUNDLE, [], altered), FIXTURE_TIME_MS),
        `byte ${at}`,
      ).toThrowError(
        expect.objectContaining({
          code: expect.stringMatching(/^BUNDLE_(CORRUPT|UNKNOWN_VERSION|FOREIGN)$/),
        }),
      );
    }
  });

  test('a character changed in the file is found by the checksum, whatever it stands for', () => {
    const start = text.indexOf('\n\n') + 2;
    for (let at = start; at < text.indexOf('\n-----END'); at += 7) {
      if (text[at] === '\n') continue;
      const altered = text.slice(0, at) + (text[at] === 'x' ? 'y' : 'x') + text.slice(at + 1);
      expect(() => openBundle(altered, FIXTURE_TIME_MS)).toThrowError(code('BUNDLE_CORRUPT'));
    }
  });

  test('a bundle that mixes two vaults is foreign', () => {
    const stranger = fixtureAgent(foreign, 'hplc-7');
    const impostor = issueCollectorCertificate(foreign.authority, {
      version: 1,
      vaultId: vault.descriptor.vaultId,
      collectorId: vault.descriptor.vaultId as unknown as Parameters<
        typeof issueCollectorCertificate
      >[1]['collectorId'],
      signKey: foreign.collector.publicKey,
      generation: 9,
      issuedAtMs: FIXTURE_TIME_MS,
    });
    const mixes: readonly Partial<BundleContents>[] = [
      { collectorCertificate: foreign.collectorCertificate },
      { collectorCertificate: impostor },
      { enrolment: stranger.enrolment },
      { enrolment: stranger.enrolment, enrolmentSeed: stranger.enrolmentKey.seed },
      { enrolmentSeed: stranger.enrolmentKey.seed },
      { descriptor: foreign.kit.descriptor },
      { dedupSecrets: [{ epoch: 2, secret: contents.pathKey }] },
      { addresses: foreign.collectorCertificate },
      { addresses: addressesOf(foreign) },
    ];
    for (const mix of mixes) {
      expect(() => openBundle(forged(mix), FIXTURE_TIME_MS), Object.keys(mix).join()).toThrowError(
        code('BUNDLE_FOREIGN'),
      );
      expect(() => sealBundle({ ...contents, ...mix }), Object.keys(mix).join()).toThrowError(
        code('BUNDLE_FOREIGN'),
      );
    }
  });
});

describe('version 1 stays readable', () => {
  test.each(vectors.opens)('$name', (vector) => {
    const open = openBundle(vector.text.join('\n'), vector.nowMs);
    expect({
      url: open.url,
      tlsPins: open.tlsPins.map(hex),
      vaultId: hex(open.descriptor.vaultId),
      collectorKey: hex(open.collector.signKey),
      agentId: hex(open.enrolment.agentId),
      name: open.enrolment.name,
      enrolmentSeed: hex(open.enrolmentKey.seed),
      dedupSecret: hex(open.dedupSecrets[0]?.secret ?? new Uint8Array(0)),
      pathKey: hex(open.pathKey),
    }).toEqual(vectors.contents);
  });

  test.each(vectors.refuses)('refuses: $name', (vector) => {
    expect(() => openBundle(vector.text.join('\n'), vector.nowMs)).toThrowError(code(vector.code));
  });
});
