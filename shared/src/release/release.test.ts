import { describe, expect, it } from 'vitest';
import { shareOf } from './share.ts';
import { compareVersions } from './version.ts';

describe('versions of releases', () => {
  it('are in the order of Semantic Versioning', () => {
    // Clause 11.4.4 of the specification, and numbers of several digits.
    const rising = [
      '0.9.9',
      '1.0.0-alpha',
      '1.0.0-alpha.1',
      '1.0.0-alpha.beta',
      '1.0.0-beta',
      '1.0.0-beta.2',
      '1.0.0-beta.11',
      '1.0.0-rc.1',
      '1.0.0',
      '1.2.0',
      '1.10.0',
      '10.0.0',
    ];
    for (const [at, a] of rising.entries())
      for (const [other, b] of rising.entries())
        expect(Math.sign(compareVersions(a, b))).toBe(Math.sign(at - other));
    expect(compareVersions('1.0.0+one', '1.0.0+two')).toBe(0);
  });
});

describe('the share of the fleet that a PC is in', () => {
  const agents = Array.from({ length: 1000 }, (_, at) => `hplc-${at}`);
  const within = (percent: number, version: string) =>
    agents.filter((agent) => shareOf(agent, version) < percent);

  it('is about as large as it was asked for, and the same whenever it is asked', () => {
    expect(within(0, '0.2.0')).toHaveLength(0);
    expect(within(100, '0.2.0')).toHaveLength(1000);
    expect(within(20, '0.2.0').length).toBeGreaterThan(100);
    expect(within(20, '0.2.0').length).toBeLessThan(300);
    expect(within(20, '0.2.0')).toEqual(within(20, '0.2.0'));
  });

  it('only grows, and begins with other PCs for another version', () => {
    const larger = new Set(within(50, '0.2.0'));
    for (const agent of within(20, '0.2.0')) expect(larger.has(agent)).toBe(true);
    expect(within(20, '0.3.0')).not.toEqual(within(20, '0.2.0'));
  });
});
