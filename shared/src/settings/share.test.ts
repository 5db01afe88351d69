import { describe, expect, it } from 'vitest';
import { readPolicy, renderSettings, settingsMistakes } from './policy.ts';

const policyOf = (update: string) => `agents:
  defaults:
    sources: [{path: /data}]
    update: {version: "0.1.0", window: "22:00-05:00"}
  groups:
    hplc:
      names: [hplc-*]
      update: ${update}
`;
const names = Array.from({ length: 200 }, (_, at) => `hplc-${at}`);

function versions(update: string): Map<string, string | undefined> {
  const read = readPolicy(policyOf(update));
  if ('mistakes' in read) throw new Error(JSON.stringify(read.mistakes));
  return new Map(
    names.map((name) => {
      expect(settingsMistakes(read.policy, name)).toEqual([]);
      const plain = renderSettings(read.policy, name)?.plain['update'] as {
        version: string;
        window: string;
      };
      expect(plain).toEqual({ version: plain.version, window: '22:00-05:00' });
      return [name, plain.version];
    }),
  );
}

describe('an update for a share of the PCs', () => {
  it('reaches so many, and the others keep what weaker sections say', () => {
    const some = [...versions('{version: "0.2.0", share: 25}').values()];
    const count = some.filter((version) => version === '0.2.0').length;
    expect(count).toBeGreaterThan(25);
    expect(count).toBeLessThan(75);
    expect(some.filter((version) => version === '0.1.0')).toHaveLength(200 - count);
  });

  it('only grows, to everybody', () => {
    const quarter = versions('{version: "0.2.0", share: 25}');
    const half = versions('{version: "0.2.0", share: 50}');
    for (const [name, version] of quarter)
      if (version === '0.2.0') expect(half.get(name)).toBe('0.2.0');
    expect(new Set(versions('{version: "0.2.0"}').values())).toEqual(new Set(['0.2.0']));
  });

  it('is none for a bundle of a group, whose PCs have no names yet', () => {
    const read = readPolicy(policyOf('{version: "0.2.0", share: 99}'));
    if ('mistakes' in read) throw new Error('not read');
    expect(renderSettings(read.policy, { group: 'hplc' })?.plain['update']).toMatchObject({
      version: '0.1.0',
    });
  });

  it.each(['0', '100', '2.5', '"half"'])('is refused with its line when it is %s', (share) => {
    expect(readPolicy(policyOf(`{version: "0.2.0", share: ${share}}`))).toMatchObject({
      mistakes: [{ line: 8, message: expect.stringContaining('from 1 to 99') }],
    });
  });
});
