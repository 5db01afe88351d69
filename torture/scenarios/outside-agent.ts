import { once } from 'node:events';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { TortureScenario } from '@aliquot/shared/testing/scenario';
import { DemoService, type Finished } from '../../demo/programs.ts';
import { type InjectedWork, injectedScenario } from '../outside/injected.ts';
import {
  mustBeNamed,
  mustComeBack,
  mustEqual,
  mustHoldNothingPartial,
  mustSend,
  writeSources,
} from '../outside/judge.ts';
import { must, type Stage } from '../outside/stage.ts';

/** The agent's programs, with their system calls failed or themselves killed at each. */

/**
 * How long a service may try to go on with a fault before it is stopped and started again. No
 * result depends on it.
 */
const SERVICE_PATIENCE_MS = 20_000;

/** An agent that has captured nothing yet of what `write` wrote. */
export async function enrolled(
  stage: Stage,
  write: (stage: Stage) => Promise<void> = writeSources,
): Promise<void> {
  await stage.found();
  await write(stage);
  await stage.serve();
  await stage.mustAgent(['enroll', stage.bundle]);
  await configure(stage);
  await stage.unserve();
}

/**
 * The queue leaves nothing free on its disk: these disks are small, and their end is what is tried.
 */
async function configure(stage: Stage): Promise<void> {
  const config = [
    'scanIntervalSeconds: 1',
    'queue: { minFreeBytes: 0 }',
    `sources: [{ path: ${JSON.stringify(stage.source)}, quietPeriodSeconds: 0.2 }]`,
    '',
  ].join('\n');
  await writeFile(join(stage.agentData, 'agent.yaml'), config, { mode: 0o600 });
}

/** Everything is captured, the instrument's disk is empty, and nothing was sent. */
export async function queued(stage: Stage): Promise<void> {
  await enrolled(stage);
  await stage.mustAgent(['backup', stage.source, '--offline']);
  await stage.takeSourcesAway();
}

const away = (stage: Stage): string => join(stage.folder, 'away');

/**
 * What a queue that was failed or killed holds is sent; both sides are sound; everything captured
 * comes back.
 */
export async function mustDrainWhole(stage: Stage): Promise<void> {
  await mustSend(stage, ['flush']);
  await stage.mustBeSound();
  await mustComeBack(stage, away(stage));
}

export const agentCapture: InjectedWork<Finished> = {
  name: 'outside-agent-capture',
  about:
    'backup --offline with each system call on the agent folder failed (EIO, ENOSPC) or killed there: what was reported as captured survives its sources, and the rest is captured by the next run.',
  proves: ['P1', 'P2', 'P6'],
  collectorUnderTest: false,
  prepare: (stage) => enrolled(stage),
  folders: (stage) => [stage.agentData],
  act: (stage, start) => stage.agent(['backup', stage.source, '--offline', '--json'], start),
  async judge(stage, told) {
    mustBeNamed(told);
    await stage.serve();
    if (told.code !== 0) {
      await mustSend(stage, ['backup', stage.source]);
      await stage.mustBeSound();
      await mustComeBack(stage, stage.source);
      return;
    }
    const at = new Date().toISOString();
    await stage.takeSourcesAway();
    await writeFile(join(stage.source, 'next.txt'), 'the next result');
    // The whole folder is another one: nobody but a person may say that what was in it is gone.
    await mustSend(stage, ['backup', stage.source, '--accept-gone']);
    await stage.mustBeSound();
    await mustComeBack(stage, away(stage), at);
    await mustComeBack(stage, stage.source);
  },
};

export const agentFlush: InjectedWork<Finished> = {
  name: 'outside-agent-flush',
  about:
    'flush of a queue whose sources are gone, with each system call on the agent folder failed or killed there: the next flush sends everything, and every byte comes back.',
  proves: ['P1', 'P2', 'P5'],
  collectorUnderTest: false,
  prepare: queued,
  folders: (stage) => [stage.agentData],
  async act(stage, start) {
    await stage.serve();
    return stage.agent(['flush', '--json'], start);
  },
  async judge(stage, told) {
    mustBeNamed(told);
    await stage.serve();
    await mustDrainWhole(stage);
  },
};

const agentEnrol: InjectedWork<Finished> = {
  name: 'outside-agent-enrol',
  about:
    'enroll with each system call on the agent folder failed or killed there: the same bundle enrols the same PC afterwards, and it backs up.',
  proves: ['P1', 'P6'],
  collectorUnderTest: false,
  async prepare(stage) {
    await stage.found();
    await writeSources(stage);
  },
  folders: (stage) => [stage.agentData],
  async act(stage, start) {
    await stage.serve();
    return stage.agent(['enroll', stage.bundle], start);
  },
  async judge(stage, told) {
    mustBeNamed(told);
    await stage.serve();
    await stage.mustAgent(['enroll', stage.bundle]);
    await mustSend(stage, ['backup', stage.source]);
    await stage.mustBeSound();
    await mustComeBack(stage, stage.source);
  },
};

const agentRepair: InjectedWork<Finished> = {
  name: 'outside-agent-repair',
  about:
    'fsck --repair of an agent folder whose index is gone, failed or killed at each system call: repeated, it rebuilds the queue whole from segments and chain log.',
  proves: ['P1', 'P2'],
  collectorUnderTest: false,
  async prepare(stage) {
    await queued(stage);
    await rm(join(stage.agentData, 'queue', 'index'), { recursive: true });
  },
  folders: (stage) => [stage.agentData],
  act: (stage, start) => stage.agent(['fsck', '--repair'], start),
  async judge(stage, told) {
    mustBeNamed(told);
    await stage.agent(['fsck', '--repair']);
    await stage.serve();
    await mustDrainWhole(stage);
  },
};

/**
 * Runs the service until everything is safe; gives false when it ended, or did not get there while
 * patience lasted.
 */
async function serviceUntilSafe(
  stage: Stage,
  service: DemoService,
  patienceMs: number,
): Promise<boolean> {
  let ended = false;
  const closed = once(service.child, 'close').then(() => {
    ended = true;
  });
  const started = Date.now();
  // Asked before, `status` would open the folder itself, and keep the service out of it.
  await service.event('running').catch(() => {});
  while (!ended && Date.now() - started < patienceMs) {
    const { lines } = await stage.agent(['status', '--json']);
    const status = lines.find((line) => line['event'] === 'status') as
      | {
          readonly lastScan: string | null;
          readonly scanning: boolean;
          readonly queue: { readonly entries: number };
          readonly results: { readonly safe: number; readonly total: number };
        }
      | undefined;
    // In the middle of a scan it knows of some results only.
    const scanned = status !== undefined && status.lastScan !== null && !status.scanning;
    if (
      scanned &&
      status.queue.entries === 0 &&
      status.results.total > 0 &&
      status.results.safe === status.results.total
    )
      return true;
    await Promise.race([closed, delay(200)]); // how often we look; nothing depends on it
  }
  return false;
}

const agentService: InjectedWork<number> = {
  name: 'outside-agent-service',
  about:
    'the running service with each system call on the agent folder failed or killed there: started again it gets everything safe by itself.',
  proves: ['P1', 'P2', 'P6'],
  collectorUnderTest: false,
  prepare: (stage) => enrolled(stage),
  folders: (stage) => [stage.agentData],
  async act(stage, { environment, under }) {
    await stage.serve();
    const service = new DemoService(
      'aliquot-agent',
      ['run', '--data', stage.agentData],
      environment,
      under,
    );
    await serviceUntilSafe(stage, service, SERVICE_PATIENCE_MS);
    return service.stop();
  },
  async judge(stage) {
    await stage.serve();
    const service = new DemoService('aliquot-agent', ['run', '--data', stage.agentData]);
    try {
      const safe = await serviceUntilSafe(stage, service, Number.POSITIVE_INFINITY);
      must(safe, `the service ended: ${service.complaint.trim()}`);
    } finally {
      await service.stop();
    }
    await stage.mustBeSound();
    await mustComeBack(stage, stage.source);
  },
};

const restored = (stage: Stage): string => stage.beside('target');

const agentRestore: InjectedWork<Finished> = {
  name: 'outside-agent-restore',
  about:
    'an agent restoring its own files with each system call on the target and its folder failed or killed there: nothing partial carries a final name, and the same command finishes later.',
  proves: ['P2', 'P6'],
  collectorUnderTest: false,
  async prepare(stage) {
    await enrolled(stage);
    await stage.serve();
    await mustSend(stage, ['backup', stage.source]);
    await stage.unserve();
  },
  folders: (stage) => [stage.agentData, restored(stage)],
  async act(stage, start) {
    await rm(restored(stage), { recursive: true, force: true });
    await stage.serve();
    return stage.agent(['restore', stage.source, '--to', restored(stage)], start);
  },
  async judge(stage, told) {
    mustBeNamed(told);
    await mustHoldNothingPartial(stage.source, join(restored(stage), stage.source));
    await stage.serve();
    await stage.mustAgent(['restore', stage.source, '--to', restored(stage)]);
    await mustEqual(stage.source, join(restored(stage), stage.source));
    await stage.mustBeSound();
  },
};

export const outsideAgentScenarios: readonly TortureScenario[] = [
  injectedScenario(agentCapture),
  injectedScenario(agentFlush),
  injectedScenario(agentEnrol),
  injectedScenario(agentService),
  injectedScenario(agentRepair),
  injectedScenario(agentRestore),
];
