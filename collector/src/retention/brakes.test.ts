import { describe, expect, it } from 'vitest';
import { type AgentShare, brakesFor, type RunSize } from './brakes.ts';

const none: RunSize = {
  ...{ vaultBytes: 1000n, expiringBytes: 0n, agents: [] },
  lately: { expired: 0n, arrived: 0n },
};
const shareOf = (agent: string, versions: number, expiring: number): AgentShare => {
  return { agent, versions, expiring, lately: { expired: 0, arrived: 0 } };
};
const share = (versions: number, expiring: number) => ({
  ...none,
  agents: [shareOf('hplc-1', versions, expiring)],
});

describe('a run waits for a person', () => {
  it('where more than 5 % of the bytes of the vault would go', () => {
    expect(brakesFor({ ...none, expiringBytes: 50n })).toEqual([]);
    expect(brakesFor({ ...none, expiringBytes: 51n })).toEqual([
      { kind: 'bytes', of: 1000n, expiring: 51n },
    ]);
    expect(brakesFor({ ...none, vaultBytes: 0n })).toEqual([]);
    // Sums of what agents claim have no bounds.
    const huge = 2n ** 100n;
    expect(brakesFor({ ...none, vaultBytes: huge, expiringBytes: huge / 20n })).toEqual([]);
    expect(brakesFor({ ...none, vaultBytes: huge, expiringBytes: huge / 20n + 1n })).toHaveLength(
      1,
    );
  });

  it('where more than 10 % of the versions of a PC would go, and more than 100', () => {
    expect(brakesFor(share(1000, 100))).toEqual([]);
    expect(brakesFor(share(1000, 101))).toEqual([
      { kind: 'versions', agent: 'hplc-1', of: 1000, expiring: 101 },
    ]);
    expect(brakesFor(share(100, 100))).toEqual([]);
    expect(brakesFor(share(5000, 500))).toEqual([]);
    expect(brakesFor(share(5000, 501))).toHaveLength(1);
  });

  it('for each PC, and says all that hold it', () => {
    const agents = [shareOf('a', 1000, 900), shareOf('b', 1000, 0), shareOf('c', 200, 200)];
    const brakes = brakesFor({ ...none, vaultBytes: 10n, expiringBytes: 9n, agents });
    expect(brakes.map((brake) => ('agent' in brake ? brake.agent : brake.kind))).toEqual([
      'bytes',
      'a',
      'c',
    ]);
  });

  it('where small runs add up in seven days to more than that share, and to more than came', () => {
    const lately = { expired: 40n, arrived: 0n };
    const bytes = (expiringBytes: bigint, arrived: bigint) =>
      brakesFor({ ...none, vaultBytes: 960n, expiringBytes, lately: { ...lately, arrived } });
    expect(bytes(10n, 0n)).toEqual([]);
    expect(bytes(11n, 0n)).toEqual([{ kind: 'bytes-in-days', of: 1000n, expiring: 51n }]);
    // As much goes as comes.
    expect(bytes(11n, 51n)).toEqual([]);
    expect(bytes(11n, 50n)).toHaveLength(1);
    // Nothing goes: nobody is called.
    expect(bytes(0n, 0n)).toEqual([]);
    const versions = (expiring: number, expired: number, arrived: number) =>
      brakesFor({
        ...none,
        agents: [{ agent: 'a', versions: 1000 - expired, expiring, lately: { expired, arrived } }],
      });
    expect(versions(20, 80, 0)).toEqual([]);
    expect(versions(21, 80, 0)).toEqual([
      { kind: 'versions-in-days', agent: 'a', of: 1000, expiring: 101 },
    ]);
    expect(versions(21, 80, 101)).toEqual([]);
  });

  it('and not again for what a person has let pass', () => {
    const size = { ...share(1000, 300), expiringBytes: 400n };
    expect(brakesFor(size)).toHaveLength(2);
    const passed = { bytes: 400n, versions: new Map([['hplc-1', 300]]) };
    expect(brakesFor(size, passed)).toEqual([]);
    // More than that waits.
    expect(brakesFor({ ...size, expiringBytes: 451n }, passed)).toHaveLength(1);
    expect(brakesFor({ ...share(1000, 401) }, passed)).toHaveLength(1);
    expect(brakesFor({ ...share(1000, 400) }, passed)).toEqual([]);
  });
});
