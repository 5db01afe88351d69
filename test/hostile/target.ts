import { execFile } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { openBundle } from '@aliquot/shared/keys/bundle';
import { WebSocket } from 'ws';
import { SessionTestAgent } from '../../collector/testing/agent.ts';
import { socketWire } from '../../collector/testing/wire.ts';
import type { JsonLine } from '../../demo/programs.ts';
import { World } from '../world.ts';

/** A real collector process to be attacked, and what it costs it. */
export class HostileTarget {
  readonly world: World;

  constructor(world: World) {
    this.world = world;
  }

  static async open(): Promise<HostileTarget> {
    return new HostileTarget(await World.open());
  }

  get port(): number {
    return Number(new URL(this.world.url).port);
  }

  get pid(): number {
    const { pid } = this.world.server.child;
    if (pid === undefined) throw new Error('the collector has no process');
    return processOf(pid);
  }

  /** An enrolled agent whose every word the test chooses. */
  async agent(name: string, options: readonly string[] = []): Promise<SessionTestAgent> {
    const file = await this.world.bundle(name, options);
    const agent = new SessionTestAgent(openBundle(await readFile(file, 'utf8'), Date.now()));
    await agent.enrol(this.world.url);
    return agent;
  }

  /** Opens an honest session for it. */
  async session(agent: SessionTestAgent): Promise<void> {
    await agent.open(
      await socketWire(new WebSocket(`${this.world.url.replace('http', 'ws')}/v1/agent`)),
    );
  }

  /** Forgets the peak of the past, where the system can (Linux). */
  resetPeak(): void {
    writeFileSync(`/proc/${this.pid}/clear_refs`, '5');
  }

  /** Peak resident bytes since the last reset. */
  peakBytes(): number {
    return statusField(this.pid, 'VmHWM');
  }

  residentBytes(): number {
    return statusField(this.pid, 'VmRSS');
  }

  /** What `aliquot agents` finds wrong with one. */
  async problems(name: string): Promise<{ code: string; message: string }[]> {
    const { lines } = await this.world.aliquot(['agents', '--json']);
    return (lines.find((line: JsonLine) => line['agent'] === name)?.['problems'] ?? []) as {
      code: string;
      message: string;
    }[];
  }

  close(): Promise<void> {
    return this.world.close();
  }
}

/** The launcher may be a shell or Node in front of the program itself: the last child is meant. */
function processOf(pid: number): number {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
    .trim()
    .split(/\s+/)
    .filter(Boolean);
  const [child] = children;
  return child === undefined ? pid : processOf(Number(child));
}

function statusField(pid: number, field: string): number {
  const line = readFileSync(`/proc/${pid}/status`, 'utf8')
    .split('\n')
    .find((text) => text.startsWith(`${field}:`));
  return Number(/(\d+) kB/.exec(line ?? '')?.[1] ?? 0) * 1024;
}

/** Bytes of files below a folder. */
export async function diskBytes(folder: string): Promise<number> {
  const { stdout } = await promisify(execFile)('du', ['-sb', join(folder)]);
  return Number(stdout.split('\t')[0]);
}
