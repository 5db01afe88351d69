import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { HeartbeatBody } from '@aliquot/proto';
import { nodeFiles } from '@aliquot/shared/durable/file-port';
import { systemError } from '@aliquot/shared/testing/faulty-files';
import { posixOnly } from '@aliquot/shared/testing/platform';
import { temporaryFolder } from '@aliquot/shared/testing/temp';
import { describe, expect, it, test } from 'vitest';
import type { CollectorStore } from '../store/collector-store.ts';
import { hostOf } from './certificate.ts';
import { Health } from './health.ts';

/** A certificate that a test makes is valid from the moment on, however slow the machine is. */
const NOW = Date.now() + 3_600_000;
const DAY = 24 * 3_600_000;
const GIB = 1024 ** 3;

interface Setting {
  free?: number | Error;
  growth?: number | undefined;
  aheadMs?: readonly number[];
  certificate?: Buffer;
  unusable?: { readonly message: string; readonly sinceMs: number };
  nowMs?: number;
  /** Called each time that all agents are looked at. */
  onLook?: () => void;
  /** The newest run of retention. */
  readonly run?: object;
  readonly failed?: object;
}

function healthOf({
  free = 1000 * GIB,
  growth,
  aheadMs = [],
  certificate,
  unusable,
  nowMs = NOW,
  onLook = () => undefined,
  run,
  failed,
}: Setting): Health {
  const agents = aheadMs.map((ahead) => ({
    heartbeatAtMs: nowMs,
    heartbeat: { timeMs: nowMs - ahead } as HeartbeatBody,
  }));
  const vault = {
    descriptor: { name: 'lab', blind: true },
    figures: { growthPerDay: () => growth },
    retention: { runs: () => (run === undefined ? [] : [run]) },
    maintenance: { failed: (work: string) => (work === 'collection' ? failed : undefined) },
    register: {
      agents: () => {
        onLook();
        return agents;
      },
      addresses: () => undefined,
    },
  };
  const store = {
    dir: '/srv/aliquot',
    vaults: () => [vault],
    ailing: () => [],
  } as unknown as CollectorStore;
  const freeBytes = async () => {
    if (free instanceof Error) throw free;
    return free;
  };
  return new Health({
    files: { ...nodeFiles, freeBytes },
    store,
    clock: { nowMs: () => nowMs },
    certificate,
    unusableCertificate: unusable,
    strangers: () => [],
  });
}
const codes = async (setting: Setting, host?: string) =>
  (await healthOf(setting).problems(host)).map(({ code }) => code);

function certificate(days: number, names: string): Buffer {
  const dir = temporaryFolder();
  const [key, pem] = [join(dir, 'key.pem'), join(dir, 'cert.pem')];
  const args = [
    'req',
    '-x509',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:prime256v1',
    '-nodes',
    '-subj',
    '/CN=collector',
  ];
  execFileSync(
    'openssl',
    [
      ...args,
      '-days',
      String(days),
      '-addext',
      `subjectAltName=${names}`,
      '-keyout',
      key,
      '-out',
      pem,
    ],
    {
      stdio: 'pipe',
    },
  );
  return readFileSync(pem);
}

describe('the disk', () => {
  it.each([
    [{ free: 1000 * GIB }, []],
    [{ free: 3 * GIB }, []],
    [{ free: GIB }, ['disk-nearly-full']],
    [{ free: 1024 }, ['disk-full']],
    [{ free: 100 * GIB, growth: 10 * GIB }, ['disk-nearly-full']],
    [{ free: 1000 * GIB, growth: 10 * GIB }, []],
    [{ free: 100 * GIB, growth: 0 }, []],
  ])('with %j: %j', async (setting, expected) => {
    expect(await codes(setting)).toEqual(expected);
  });

  it('that does not answer is named; a fault of ours is thrown on', async () => {
    expect(await codes({ free: systemError('EIO', 'statfs', '/srv') })).toEqual([
      'disk-unreachable',
    ]);
    await expect(codes({ free: new TypeError('x is not a function') })).rejects.toThrow(TypeError);
  });

  it('says how many days are left', async () => {
    expect(
      (await healthOf({ free: 100 * GIB, growth: 10 * GIB }).problems())[0]?.message,
    ).toContain('enough for 10 days');
    expect(await healthOf({ free: 100 * GIB, growth: 10 * GIB }).disk()).toMatchObject({
      daysLeft: 10,
    });
  });
});

describe.runIf(posixOnly('there is no openssl to make certificates with'))(
  'the certificate',
  () => {
    const good = () => certificate(365, 'DNS:backup.lab,IP:10.0.0.5');
    it.each([
      ['is well', good, 'backup.lab:8480', NOW, []],
      ['is well for an address', good, '10.0.0.5', NOW, []],
      [
        'ends soon',
        () => certificate(10, 'DNS:backup.lab'),
        'backup.lab',
        NOW,
        ['certificate-ending'],
      ],
      ['has ended', good, 'backup.lab', NOW + 400 * DAY, ['certificate-ended']],
      ['is not valid yet', good, 'backup.lab', NOW - 400 * DAY, ['certificate-not-yet']],
      ['is for another name', good, 'other.lab', NOW, ['certificate-name']],
      ['is for another address', good, '[::1]:8480', NOW, ['certificate-name']],
    ])('that %s', async (_, pem, host, nowMs, expected) => {
      expect(await codes({ certificate: pem(), nowMs }, host)).toEqual(expected);
    });

    it('is also judged by the names by which those came who proved themselves, whoever asks', async () => {
      const health = healthOf({ certificate: good() });
      health.cameBy('old-name.lab:8480');
      for (let at = 0; at < 100; at += 1) health.cameBy('backup.lab');
      expect((await health.problems('backup.lab'))[0]?.message).toContain('not for old-name.lab,');
    });

    it('P6: whose renewal cannot be served is named until it can', async () => {
      const unusable = {
        message: 'tls.crt and tls.key do not belong together',
        sinceMs: NOW - DAY,
      };
      expect(await healthOf({ certificate: good(), unusable }).problems('backup.lab')).toEqual([
        { code: 'certificate-unusable', ...unusable },
      ]);
    });

    it('reads a Host whatever stands in it', () => {
      expect(['a.lab:1', '[::1]:2', '127.0.0.1', 'x y', '', undefined].map(hostOf)).toEqual([
        'a.lab',
        '::1',
        '127.0.0.1',
        undefined,
        undefined,
        undefined,
      ]);
    });
  },
);

describe('the clock', () => {
  const hour = 3_600_000;

  it('P6 is compared with those of all agents once in a second, however often somebody asks', async () => {
    let looks = 0;
    const onLook = (): void => {
      looks += 1;
    };
    const health = healthOf({ aheadMs: [hour, hour], onLook });
    for (let asked = 0; asked < 50; asked += 1)
      expect((await health.problems()).map(({ code }) => code)).toEqual(['clock-off']);
    expect(looks).toBe(1);
  });

  it.each([
    [[], []],
    [[hour], []],
    [[hour, hour], ['clock-off']],
    [[-hour, -hour, -2 * hour], ['clock-off']],
    [[hour, 0, 0], []],
    [[hour, -hour], []],
    [[hour, hour, 0], ['clock-off']],
    [[1000, -1000, 2000], []],
  ])('ahead of its agents by %j: %j', async (aheadMs, expected) => {
    expect(await codes({ aheadMs })).toEqual(expected);
  });
});

test('P6 a run of retention that waits for a person is named until somebody lets it pass', async () => {
  const run = { run: 3, versions: 200, timeMs: NOW - 1, brakes: [{}], approvedAtMs: undefined };
  const waits = await healthOf({ run }).problems();
  expect(waits).toMatchObject([{ code: 'retention-waits', sinceMs: NOW - 1 }]);
  expect(waits[0]?.message).toContain('200 versions');
  expect(await codes({ run: { ...run, approvedAtMs: NOW } })).toEqual([]);
  expect(await codes({ run: { ...run, brakes: [] } })).toEqual([]);
});

test('P6 a collection that failed by itself is named with its code and when, until one ends well', async () => {
  const failed = { sinceMs: NOW - 5, atMs: NOW - 1, code: 'STORE_FAILED', message: 'no disk' };
  const [problem, ...more] = await healthOf({ failed }).problems();
  expect([problem, more]).toEqual([
    expect.objectContaining({ code: 'collection-failed', sinceMs: NOW - 5 }),
    [],
  ]);
  expect(problem?.message).toMatch(/lab failed on 2\d{3}-.*: no disk \[STORE_FAILED\]; .*gc run/);
});
