import { describe, expect, it } from 'vitest';
import { someOf } from '../torture/outside/injected.ts';
import { whyNoStrace } from '../torture/outside/strace.ts';
import { agentFlush } from '../torture/scenarios/outside-agent.ts';
import { collectorIngest } from '../torture/scenarios/outside-collector.ts';
import { resultBackup } from '../torture/scenarios/results.ts';
import { smallFlush, smallIngest } from '../torture/scenarios/small-files.ts';

/**
 * A few of the faults that `npm run test:torture -- --only 'outside-*'` enumerates: real system
 * calls of the built programs.
 */
describe('system calls of the built programs that fail', () => {
  it('P1 I-A2 I-A4: an agent that cannot sync, or is killed while it writes, sends its whole queue later', async ({
    skip,
  }) => {
    const unable = await whyNoStrace();
    if (unable !== undefined) skip(unable);
    const { injected, failed } = await someOf(agentFlush, [
      'fdatasync:error=EIO',
      'pwrite64:signal=KILL',
      'rename:signal=KILL',
    ]);
    expect({ injected, failed }).toEqual({ injected: 3, failed: [] });
  }, 600_000);

  it('P1 I-C1 I-C4 I-C7: a collector that cannot sync or write, or is killed there, breaks no receipt', async ({
    skip,
  }) => {
    const unable = await whyNoStrace();
    if (unable !== undefined) skip(unable);
    const { injected, failed } = await someOf(collectorIngest, [
      'fdatasync:error=EIO',
      'pwrite64:error=ENOSPC',
      'fdatasync:signal=KILL',
    ]);
    expect({ injected, failed }).toEqual({ injected: 3, failed: [] });
  }, 600_000);

  it('P1 P2 I-A2 I-C1: a changed tree of small files comes back in both of its states, whichever side is killed', async ({
    skip,
  }) => {
    const unable = await whyNoStrace();
    if (unable !== undefined) skip(unable);
    const agent = await someOf(smallFlush, ['pwrite64:signal=KILL']);
    expect(agent).toMatchObject({ injected: 1, failed: [] });
    const collector = await someOf(smallIngest, ['fdatasync:signal=KILL']);
    expect(collector).toMatchObject({ injected: 1, failed: [] });
  }, 600_000);

  it('P1 P2 I-A16: an agent that is killed while it sends five thousand members of one result never has a half of it shown as whole', async ({
    skip,
  }) => {
    const unable = await whyNoStrace();
    if (unable !== undefined) skip(unable);
    const { injected, failed } = await someOf(resultBackup, [
      'fdatasync:signal=KILL',
      'write:signal=KILL',
    ]);
    expect({ injected, failed }).toEqual({ injected: 2, failed: [] });
  }, 600_000);
});
