import type { Command } from '../measure/command.ts';
import type { KeptShares } from '../measure/kept.ts';

export const systemNames = ['ours', 'restic', 'borg', 'rsync', 'copy'] as const;
export type SystemName = (typeof systemNames)[number];

/** Which of the two PCs a command stands for. */
export type BenchPc = 'pc-1' | 'pc-2';

/**
 * Whether a system can run here: its version for the report, or what is missing and how to get it.
 */
export type SystemProbe = { readonly version: string } | { readonly missing: string };

/** What is not as usual in a run. */
export interface Conditions {
  /**
   * The agent's priority: below everything else by default. On a busy machine it then hardly gets
   * on, which is its purpose.
   */
  readonly agentPriority?: 'normal';
}

/**
 * A backup system as the bench sees it. One file for each; whatever they do differently stays in
 * there.
 */
export interface BackupSystem {
  readonly name: SystemName;
  probe(): Promise<SystemProbe>;
  /**
   * Makes an empty repository below `folder` with everything that serves it. None of this is
   * measured.
   */
  open(folder: string, conditions?: Conditions): Promise<Repository>;
}

/** An open repository. The commands are what is measured; they are run one at a time. */
export interface Repository {
  /** Living processes of the server's side. */
  readonly servers: readonly number[];
  /** Tells a child of a command that belongs to the server's side. */
  isServer?(commandLine: string): boolean;
  /** Makes the store hold this folder (or file) as it is now. */
  backup(source: string, pc: BenchPc): Command;
  /** Brings back the newest state of all of `source` (pc-1) below `to`. */
  restore(source: string, to: string): Command;
  /** Brings back one file of it below `to`. */
  restoreFile(source: string, file: string, to: string): Command;
  /** Where a restore puts what was at this path. */
  restoredPath(source: string, path: string, to: string): string;
  /**
   * Reads back and proves everything that is stored; undefined when the system has no such command.
   */
  check(): Command | undefined;
  /** The same on the server's side, where there are no keys, for a system that has it. */
  scrub?(): Command;
  /** Bytes of everything that the server's side keeps on its disk. */
  storedBytes(): Promise<number>;
  /**
   * Where the bytes of both sides lie, for a system whose folders we know. Ends the server's side.
   */
  kept?(): Promise<KeptShares>;
  /**
   * Starts what runs all the time on the PC, where a system has it; then `backup` goes through it.
   */
  startService?(source: string): Promise<RunningService>;
  /** Ends all that was started. The folder is the caller's to remove. */
  close(): Promise<void>;
}

export interface RunningService {
  readonly pid: number;
  stop(): Promise<void>;
}
