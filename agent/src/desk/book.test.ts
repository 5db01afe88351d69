import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Settings } from '@aliquot/proto';
import { boxKeyFromSecret } from '@aliquot/shared/crypto/box';
import { FileError } from '@aliquot/shared/durable/errors';
import { nodeFiles } from '@aliquot/shared/durable/file-port';
import {
  issueBundleSettings,
  issueSettings,
  openDetail,
  type SettingsTerms,
} from '@aliquot/shared/keys/settings';
import {
  fixtureAgent,
  fixtureVault,
  FIXTURE_TIME_MS as NOW,
  seededRandom,
} from '@aliquot/shared/testing/keys/fixtures';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { temporaryFolder } from '../../testing/queue/support.ts';
import { testIdentity, vault } from '../../testing/uplink/test-agent.ts';
import { DeskBook } from './book.ts';
import { openDesk } from './open-desk.ts';

const identity = testIdentity('http://127.0.0.1:1');
const { agentId } = identity.certificate.enrolment;
const random = seededRandom('desk');
const policyKey = boxKeyFromSecret(new Uint8Array(32).fill(9));
const foreign = fixtureVault('another lab');
const other = fixtureAgent(vault, 'other');

let folder: ReturnType<typeof temporaryFolder>;
let nowMs = NOW;
beforeEach(() => {
  folder = temporaryFolder();
  nowMs = NOW;
});
afterEach(() => folder.remove());

const open = (port = nodeFiles) =>
  openDesk(folder.dir, { port, clock: { nowMs: () => nowMs }, random, identity });
const own = (text: string) => writeFileSync(join(folder.dir, 'agent.yaml'), text);

interface Made extends Partial<SettingsTerms> {
  readonly text?: string;
  readonly by?: typeof vault;
  readonly pc?: { agentId: typeof agentId; boxKey: Uint8Array };
}

function told(
  sequence: number,
  { text = 'sources: [{path: /data/a}]\n', by = vault, pc, ...terms }: Made = {},
): Settings {
  const all = { sequence, issuedAtMs: NOW, expiresAtMs: NOW + 1000, groups: [], ...terms };
  const contents = { version: 1, text, answerKey: policyKey.publicKey } as const;
  const whom = pc ?? { agentId, boxKey: identity.boxKey.publicKey };
  return {
    settings: issueSettings(by.authority, by.descriptor, whom, all, contents, random),
    certificate: undefined,
  };
}

const why = (
  sequence: number,
  detail: { ephemeralKey: Uint8Array; sealed: Uint8Array } | undefined,
) => detail && openDetail(policyKey, vault.descriptor, agentId, sequence, detail);

const folders = async (desk: DeskBook) => {
  const now = await desk.now();
  return 'mistakes' in now ? now.mistakes : now.config.sources.map(({ path }) => path);
};

describe.runIf(process.platform !== 'win32')('the desk’s settings at a PC', () => {
  test('P6: are in force once they are on the disk, also after a restart and after their term', async () => {
    const desk = await open();
    let heard = 0;
    desk.subscribe(() => {
      heard += 1;
    });
    expect(await desk.take(told(12), 'collector')).toEqual({
      sequence: 12,
      outcome: 'applied',
      code: '',
      detail: undefined,
    });
    expect(heard).toBe(1);
    nowMs += 10_000;
    for (const one of [desk, await open()]) {
      expect(one.sequence).toBe(12);
      expect(await folders(one)).toEqual(['/data/a']);
    }
    expect(await desk.take(told(12), 'collector')).toMatchObject({
      outcome: 'refused',
      code: 'SETTINGS_OLD',
    });
  });

  test.each([
    ['a number that is used up for those before it', NOW, { issuedAtMs: 12 }],
    ['the term of a clock that was wrong', 12, { issuedAtMs: NOW + 1000 }],
  ])(
    'P5: with %s are not forgotten by a restart, so that older ones stay older',
    async (_what, sequence, terms) => {
      const desk = await open();
      expect(await desk.take(told(sequence, terms), 'collector')).toMatchObject({
        outcome: 'applied',
      });
      const again = await open();
      expect(again.sequence).toBe(sequence);
      expect(await again.take(told(11), 'collector')).toMatchObject({
        outcome: 'refused',
        code: 'SETTINGS_OLD',
      });
      nowMs += 1;
      expect(await again.take(told(sequence + 1), 'collector')).toMatchObject({
        outcome: 'applied',
      });
    },
  );

  test('the same bytes again are no news', async () => {
    const desk = await open();
    const given = told(12);
    await desk.take(given, 'collector');
    expect(await desk.take(given, 'collector')).toBeUndefined();
    expect(desk.refused).toBeUndefined();
  });

  test('P1: a disk that cannot keep them leaves the old ones in force, in memory too', async () => {
    const desk = await open();
    await desk.take(told(1), 'collector');
    const failing = {
      ...nodeFiles,
      rename: () => Promise.reject(new FileError('FILE_IO', 'the disk is gone')),
    } as typeof nodeFiles;
    const book = await open(failing);
    await expect(
      book.take(told(2, { text: 'sources: [{path: /data/b}]\n' }), 'collector'),
    ).rejects.toThrow();
    expect(book.sequence).toBe(1);
    expect(await folders(await open())).toEqual(['/data/a']);
  });

  test.each([
    ['older', () => told(4), 'SETTINGS_OLD'],
    [
      'another PC’s',
      () => told(12, { pc: { agentId: other.agentId, boxKey: other.boxKey.publicKey } }),
      'SETTINGS_OTHER_PC',
    ],
    ['a foreign authority’s', () => told(12, { by: foreign }), 'SETTINGS_FOREIGN'],
    ['past their term', () => told(12, { expiresAtMs: NOW }), 'SETTINGS_EXPIRED'],
    ['too far ahead', () => told(NOW + 1), 'SETTINGS_SKIPS'],
    [
      'not for this key',
      () => told(12, { pc: { agentId, boxKey: other.boxKey.publicKey } }),
      'SETTINGS_SEALED',
    ],
    [
      'with a mistake',
      () => told(12, { text: 'sources: [{path: data}]\nworkers: 0\n' }),
      'SETTINGS_INVALID',
    ],
    [
      'of a newer release',
      () => told(12, { text: 'sources: [{path: /data/a}]\nholography: 3\n' }),
      'SETTINGS_UNKNOWN',
    ],
  ])(
    'P5 P6: %s ones are refused by name and remembered, and those in force stay',
    async (_what, made, code) => {
      const desk = await open();
      await desk.take(told(5), 'collector');
      const answer = await desk.take(made(), 'collector');
      expect(answer).toMatchObject({
        outcome: code === 'SETTINGS_UNKNOWN' ? 'cannot' : 'refused',
        code,
      });
      for (const one of [desk, await open()]) {
        expect(one.sequence).toBe(5);
        expect(one.refused).toMatchObject({ sequence: answer?.sequence, code, atMs: NOW });
      }
      expect(why(answer?.sequence ?? 0, answer?.detail)).toBe(desk.refused?.message);
      expect(await desk.take(told(13), 'collector')).toMatchObject({ outcome: 'applied' });
      expect((await open()).refused).toBeUndefined();
    },
  );

  test('a refusal names every mistake with its line and what is accepted, in the words of agent.yaml', async () => {
    const desk = await open();
    await desk.take(
      told(3, { text: 'sources: [{path: /a}]\nworkers: 0\nlogLevle: info\n' }),
      'collector',
    );
    expect(desk.refused?.message).toBe(
      'settings 3 have mistakes: line 2: workers must be a whole number of threads, from 1 to 8; line 3: "logLevle" is not a setting; did you mean "logLevel"?',
    );
  });

  test('P6: a folder that loses its cover is remembered until a person has seen it, or it is covered again', async () => {
    const desk = await open();
    await desk.take(
      told(1, { text: 'sources: [{path: /data/a}, {path: /data/b}, {path: /data/c}]\n' }),
      'collector',
    );
    expect(desk.uncovered).toEqual([]);
    await desk.take(
      told(2, { text: 'sources: [{path: /data/c, exclude: ["*.raw"]}]\n' }),
      'collector',
    );
    expect((await open()).uncovered).toMatchObject([
      { path: '/data/a', patterns: [], sequence: 2 },
      { path: '/data/b', patterns: [] },
      { path: '/data/c', patterns: ['*.raw'] },
    ]);
    await desk.take(
      told(3, { text: 'sources: [{path: /data/b}, {path: /data/c, exclude: ["*.raw"]}]\n' }),
      'collector',
    );
    expect(desk.uncovered.map(({ path, sequence }) => [path, sequence])).toEqual([
      ['/data/a', 2],
      ['/data/c', 2],
    ]);
    await desk.acknowledge(['/data/a', '/data/c']);
    expect((await open()).uncovered).toEqual([]);
  });

  test('P6: what agent.yaml named, and settings forbid it to add, loses its cover too', async () => {
    own('sources: [{path: /data/mine}]\n');
    const desk = await open();
    await desk.take(told(1), 'collector');
    expect(await folders(desk)).toEqual(['/data/a', '/data/mine']);
    expect(desk.uncovered).toEqual([]);
    await desk.take(told(2, { text: 'sources: [{path: /data/a}]\nlocal: []\n' }), 'collector');
    expect(desk.uncovered).toMatchObject([{ path: '/data/mine', patterns: [] }]);
  });

  test('a bundle may hold them in clear; a file that was altered or damaged counts for nothing', async () => {
    const contents = {
      version: 1,
      text: 'logLevel: debug\n',
      answerKey: policyKey.publicKey,
    } as const;
    const clear = issueBundleSettings(
      vault.authority,
      vault.descriptor,
      undefined,
      { sequence: 3, issuedAtMs: NOW, expiresAtMs: NOW + 1, groups: ['g'] },
      contents,
    );
    const desk = await open();
    expect(await desk.take({ settings: clear, certificate: undefined }, 'collector')).toMatchObject(
      { code: 'SETTINGS_OTHER_PC' },
    );
    expect(await desk.take({ settings: clear, certificate: undefined }, 'bundle')).toMatchObject({
      outcome: 'applied',
    });
    expect([(await open()).sequence, (await open()).groups]).toEqual([3, ['g']]);
    const path = DeskBook.path(folder.dir);
    const text = readFileSync(path, 'utf8');
    writeFileSync(path, text.replace(/"way": "bundle"/, '"way": "collector"'));
    expect((await open()).sequence).toBe(0);
    writeFileSync(path, text.slice(0, 50));
    expect((await open()).sequence).toBe(0);
    mkdirSync(join(folder.dir, 'identity'), { recursive: true });
  });
});
