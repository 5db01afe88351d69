import { describe, expect, it } from 'vitest';
import { Cable, type Tap } from '../demo/cable.ts';
import { run } from '../demo/programs.ts';
import { makeTree } from './trees.ts';
import { type AgentPlace, World } from './world.ts';

/** Flips one bit of the `offset`-th byte of one direction. */
function flip(direction: 'to-collector' | 'to-agent', offset: number): () => Tap {
  return () => {
    let passed = 0;
    return (bytes, way) => {
      if (way !== direction) return bytes;
      const at = offset - passed;
      passed += bytes.length;
      if (at < 0 || at >= bytes.length) return bytes;
      const changed = Buffer.from(bytes);
      changed[at] = (changed[at] ?? 0) ^ 0x10;
      return changed;
    };
  };
}

describe('a proxy in the middle', () => {
  it('P5: that alters what it relays is noticed, named, and nothing is believed', async () => {
    const world = await World.open();
    const port = Number(new URL(world.url).port);
    try {
      const tree = await world.place('data');
      await makeTree(tree, 1);
      const taps = [
        flip('to-agent', 420),
        flip('to-agent', 900),
        flip('to-collector', 3_000),
        flip('to-collector', 400_000),
      ];
      const relayed: { tap: () => Tap; cable: Cable; agent: AgentPlace }[] = [];
      for (const [index, tap] of taps.entries()) {
        const cable = new Cable({ host: '127.0.0.1', port }, () => (bytes) => bytes);
        await cable.plug();
        relayed.push({ tap, cable, agent: await world.agent(`relayed-${index}`, [], cable.url) });
      }
      // At once: an agent that is lied to waits before it asks again, and none of them disturbs
      // another.
      const outcomes = relayed.map(async ({ tap, cable, agent }) => {
        await cable.pull();
        const altered = new Cable({ host: '127.0.0.1', port }, tap);
        await altered.plug(Number(new URL(cable.url).port));
        const refused = await run('aliquot-agent', [
          'backup',
          tree,
          '--data',
          agent.data,
          '--json',
        ]);
        await altered.pull();
        expect([agent.name, refused.code === 0]).toEqual([agent.name, false]);
        expect(refused.stderr).toMatch(/altered|authentic|signature|certificate|damaged/i);
        // With an honest network everything queued arrives.
        await cable.plug();
        const healed = await world.backup(agent, [tree]);
        expect(healed).toMatchObject({ failed: 0, queued: 0 });
        await cable.pull();
      });
      // All of them to their end, so that none outlives the world.
      for (const outcome of await Promise.allSettled(outcomes))
        if (outcome.status === 'rejected') throw outcome.reason;
      await world.aliquot(['fsck', '--data', world.collectorData]);
    } finally {
      await world.close();
    }
  });
});
