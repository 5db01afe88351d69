import type { SessionTestAgent } from '../../collector/testing/agent.ts';
import type { HostileTarget } from './target.ts';

/** One way to harm a collector from outside. */
export interface Attack {
  readonly name: string;
  /** What is done; `{}` stands for the number. */
  readonly about: string;
  /** How many at full force. */
  readonly force: number;
  /** Does it `force` times; `midway` is called while everything is held open. Gives a remark. */
  run(siege: Siege, force: number, midway: () => Promise<void>): Promise<string>;
}

export interface Siege {
  readonly target: HostileTarget;
  /** Enrolled, and in bad hands. */
  readonly evil: SessionTestAgent;
}
