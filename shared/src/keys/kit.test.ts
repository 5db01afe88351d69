import { decodeKitFile, encodeKitFile, type KitContents } from '@aliquot/proto';
import { describe, expect, test } from 'vitest';
import { fixtureVault, seededRandom } from '../../testing/keys/fixtures.ts';
import vectors from '../../vectors/kit-1.json' with { type: 'json' };
import { hex } from '../crypto/bytes.ts';
import { armor, dearmor } from './armor.ts';
import { createKit, defaultVaultParameters, inspectKit, openKit, sealKit } from './kit.ts';
import { defaultKitCost } from './passphrase-file.ts';

const KIT = 'ALIQUOT RECOVERY KIT';
/** scrypt at its cheapest: these tests open a kit hundreds of times. */
const cheap = { logN: 1, r: 1, p: 1 };
const PASSPHRASE = 'open sesame';
const vault = fixtureVault('kit');
const text = sealKit(vault.kit, PASSPHRASE, seededRandom('salt'), cheap);
const code = (value: string) => expect.objectContaining({ code: value, retryable: false });

function kitFile(armoured: string) {
  const read = dearmor(KIT, armoured);
  if (read.type !== 'bytes') throw new Error('the kit of this test is not readable');
  return decodeKitFile(read.bytes);
}

describe('recovery kit', () => {
  test('opens to exactly the keys that were sealed', async () => {
    const open = await openKit(text, PASSPHRASE);
    expect(open.contents).toEqual(vault.kit);
    expect(open.descriptor).toEqual(vault.descriptor);
    expect(open.authority).toEqual(vault.authority);
    expect(hex(open.vaultKey.publicKey)).toBe(hex(vault.descriptor.vaultKey));
    expect(hex(open.catalogKey.publicKey)).toBe(hex(vault.descriptor.catalogKey));
    expect(open.dedupSecrets.map((secret) => secret.epoch)).toEqual([1]);
  });

  test('a new vault has keys, secrets and an id of its own', () => {
    const random = seededRandom('new');
    const kits = [0, 1].map(() => createKit({ name: 'a', blind: true, nowMs: 5 }, random));
    const secrets = kits.flatMap((kit) => [
      kit.authoritySeed,
      kit.vaultSecretKey,
      kit.catalogSecretKey,
      kit.pathSecret,
      ...kit.dedupSecrets.map((dedup) => dedup.secret),
    ]);
    expect(new Set(secrets.map(hex)).size).toBe(10);
  });

  test('records name, blindness, time and chunk sizes in its descriptor', async () => {
    const parameters = { ...defaultVaultParameters, averageChunkBytes: 512 * 1024 };
    const kit = createKit(
      { name: 'Grüße 1', blind: true, nowMs: 42, parameters },
      seededRandom('described'),
    );
    const { descriptor } = await openKit(sealKit(kit, 'x', seededRandom('s'), cheap), 'x');
    expect(descriptor).toMatchObject({ name: 'Grüße 1', blind: true, createdAtMs: 42, parameters });
  });

  test('asks scrypt for 128 MiB unless told otherwise', () => {
    expect(128 * defaultKitCost.r * 2 ** defaultKitCost.logN).toBe(128 * 1024 * 1024);
    expect(vectors.opens.map((vector) => vector.name)).toContain('default cost');
    expect(kitFile(vectors.opens[0]?.text.join('\n') ?? '').scryptLogN).toBe(defaultKitCost.logN);
  });

  test('two sealings of one kit share no byte of salt or seal', () => {
    const random = seededRandom('two sealings');
    const [first, second] = [0, 1].map(() =>
      kitFile(sealKit(vault.kit, PASSPHRASE, random, cheap)),
    );
    expect(first?.salt).not.toEqual(second?.salt);
    expect(first?.sealed).not.toEqual(second?.sealed);
  });

  test('holds no secret in clear', () => {
    const { sealed } = kitFile(text);
    for (const secret of [
      vault.kit.authoritySeed,
      vault.kit.vaultSecretKey,
      vault.kit.catalogSecretKey,
      vault.kit.pathSecret,
    ]) {
      expect(hex(sealed)).not.toContain(hex(secret));
    }
  });

  test('names its vault without the passphrase', () => {
    expect(inspectKit(text)).toEqual({
      vaultName: vault.descriptor.name,
      vaultId: vault.descriptor.vaultId,
    });
  });

  test('an empty passphrase is refused when sealing', () => {
    expect(() => sealKit(vault.kit, '', seededRandom('s'), cheap)).toThrowError(
      code('KIT_EMPTY_PASSPHRASE'),
    );
  });

  test.each(['', ' ', 'open sesam', 'Open sesame', 'open sesame ', 'opensesame'])(
    'does not open with "%s"',
    async (wrong) => {
      await expect(openKit(text, wrong)).rejects.toThrowError(code('KIT_WRONG_PASSPHRASE'));
    },
  );

  test('messages carry neither passphrase nor keys', async () => {
    const error: unknown = await openKit(text, 'a guess that is secret too').catch(
      (cause: unknown) => cause,
    );
    expect(String(error)).not.toContain('a guess');
    expect(String(error)).toContain(vault.descriptor.name);
  });
});

describe('P5: a kit altered under a right checksum', () => {
  const file = kitFile(text);

  test('does not open after any one byte of salt or seal changed', async () => {
    for (const part of ['salt', 'sealed'] as const) {
      for (let at = 0; at < file[part].length; at += 1) {
        const altered = { ...file, [part]: file[part].slice() };
        altered[part][at] = (altered[part][at] ?? 0) ^ 1;
        const rearmoured = armor(KIT, [], encodeKitFile(altered));
        await expect(openKit(rearmoured, PASSPHRASE), `${part} byte ${at}`).rejects.toThrowError(
          code('KIT_WRONG_PASSPHRASE'),
        );
      }
    }
  });

  test('does not open under another name, vault id or cost', async () => {
    const other = fixtureVault('kit other').descriptor.vaultId;
    const changes = [
      { vaultName: 'Mass spec cort' },
      { vaultId: other },
      { scryptLogN: 2 },
      { scryptR: 2 },
      { scryptP: 2 },
    ];
    for (const change of changes) {
      const rearmoured = armor(KIT, [], encodeKitFile({ ...file, ...change }));
      await expect(
        openKit(rearmoured, PASSPHRASE),
        JSON.stringify(Object.keys(change)),
      ).rejects.toThrowError(code('KIT_WRONG_PASSPHRASE'));
    }
  });

  test('any one bit of its bytes makes it unusable, and never opens other keys', async () => {
    const bytes = encodeKitFile(file);
    for (let at = 0; at < bytes.length; at += 1) {
      const altered = bytes.slice();
      altered[at] = (altered[at] ?? 0) ^ 1;
      await expect(openKit(armor(KIT, [], altered), PASSPHRASE), `byte ${at}`).rejects.toThrowError(
        expect.objectContaining({
          code: expect.stringMatching(/^KIT_(CORRUPT|UNKNOWN_VERSION|WRONG_PASSPHRASE)$/),
        }),
      );
    }
  });
});

describe('a kit whose keys do not belong together', () => {
  const foreign = fixtureVault('kit foreign').kit;
  const changes: readonly Partial<KitContents>[] = [
    { authoritySeed: foreign.authoritySeed },
    { vaultSecretKey: foreign.vaultSecretKey },
    { catalogSecretKey: foreign.catalogSecretKey },
    { dedupSecrets: [{ epoch: 2, secret: foreign.pathSecret }] },
  ];

  test.each(changes)('is refused: %o', async (change) => {
    const mixed = sealKit({ ...vault.kit, ...change }, PASSPHRASE, seededRandom('mixed'), cheap);
    await expect(openKit(mixed, PASSPHRASE)).rejects.toThrowError(code('KIT_INCONSISTENT'));
  });

  test('is not sealed at all when its descriptor does not hold', () => {
    const descriptor = { ...vault.kit.descriptor, signature: foreign.descriptor.signature };
    expect(() =>
      sealKit({ ...vault.kit, descriptor }, PASSPHRASE, seededRandom('x'), cheap),
    ).toThrowError(expect.objectContaining({ code: 'CERT_SIGNATURE' }));
  });
});

describe('version 1 stays readable', () => {
  test.each(vectors.opens)('$name', async (vector) => {
    const open = await openKit(vector.text.join('\n'), vector.passphrase);
    expect({
      vaultName: open.descriptor.name,
      vaultId: hex(open.descriptor.vaultId),
      createdAtMs: open.descriptor.createdAtMs,
      authoritySeed: hex(open.authority.seed),
      vaultSecretKey: hex(open.vaultKey.secretKey),
      catalogSecretKey: hex(open.catalogKey.secretKey),
      dedupSecret: hex(open.dedupSecrets[0]?.secret ?? new Uint8Array(0)),
      pathSecret: hex(open.pathSecret),
    }).toEqual(vectors.contents);
  });

  test.each(vectors.refuses)('refuses: $name', async (vector) => {
    await expect(openKit(vector.text.join('\n'), vector.passphrase)).rejects.toThrowError(
      code(vector.code),
    );
  });
});
