import { join } from 'node:path';
import { type Finished, type ProgramName, run } from '../../demo/programs.ts';
import { asNobody as nobody, whyNotAsNobody } from '../nobody.ts';
import type { AgentPlace, World } from '../world.ts';

/**
 * What the mistakes are made in: a collector with one vault, one enrolled PC, one backed up folder.
 */
export interface MistakeLab {
  readonly world: World;
  readonly agent: AgentPlace;
  /** The folder that is backed up; it holds `run.csv`. */
  readonly tree: string;
  readonly token: string;
}

export interface FirstDayMistake {
  /** What the person did. */
  readonly what: string;
  readonly make: (lab: MistakeLab) => Promise<Finished>;
  readonly code: number;
  /** In the last line of standard error: what is wrong, and the way out. */
  readonly says: RegExp;
  /** The whole help is the answer, instead of one line. */
  readonly help?: boolean;
  /** Only where it can be made: some need an ordinary user, or none. */
  readonly unless?: () => boolean;
}

/** An operator's command with the environment of somebody who did everything else right. */
export const central = async (
  lab: MistakeLab,
  args: readonly string[],
  changes: NodeJS.ProcessEnv = {},
): Promise<Finished> =>
  run('aliquot', args, { ...lab.world.environment(), ALIQUOT_TOKEN: lab.token, ...changes });

export const pc = (args: readonly string[]): Promise<Finished> => run('aliquot-agent', args);

/** Where `asNobody` cannot be. */
export const noNobody = (): boolean => whyNotAsNobody() !== undefined;

/** Runs a program as a user who owns nothing here. */
export const asNobody = (
  name: ProgramName,
  args: readonly string[],
  environment: NodeJS.ProcessEnv = {},
): Promise<Finished> => run(name, args, environment, nobody);

export const within = (lab: MistakeLab, name: string): string => join(lab.world.folder, name);
