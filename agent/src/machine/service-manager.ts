import { execFile } from 'node:child_process';
import { MachineError } from './errors.ts';

/**
 * How a service stands: whether it is there, whether it runs, and which data folder it was given.
 */
export interface ServiceState {
  readonly state: 'absent' | 'stopped' | 'running' | 'changing';
  /** The data folder of its command line, where that names one. */
  readonly data?: string;
}

/** What a service is installed with. */
export interface ServiceOptions {
  readonly data: string;
  /** The account that it runs as; the platform's own choice unless given. */
  readonly account?: string;
}

/**
 * The service manager of a platform. `install` may be repeated, and brings a service that is there
 * up to date; `uninstall` leaves data alone and is done when there is nothing to remove. Errors:
 * `MACHINE_DENIED`, `MACHINE_NO_SERVICE`, `MACHINE_NO_MANAGER`, `MACHINE_REFUSED`.
 */
export interface ServiceManager {
  install(options: ServiceOptions): Promise<void>;
  uninstall(): Promise<void>;
  /** Resolves when the manager has started it; whether the agent in it works is asked elsewhere. */
  start(): Promise<void>;
  stop(): Promise<void>;
  state(): Promise<ServiceState>;
}

/** How a tool of the system ended, and what it said on each of its outputs. */
export interface Ran {
  /** Undefined when the tool is not there. */
  readonly code: number | undefined;
  readonly out: string;
  readonly err: string;
}

/** Runs a tool of the system. Tests bring their own. */
export type RunTool = (tool: string, args: readonly string[]) => Promise<Ran>;

export const runTool: RunTool = (tool, args) =>
  new Promise((resolve, reject) => {
    execFile(tool, [...args], { windowsHide: true }, (error, out, err) => {
      if (error === null) resolve({ code: 0, out, err });
      else if (typeof error.code === 'number') resolve({ code: error.code, out, err });
      else if (error.code === 'ENOENT') resolve({ code: undefined, out, err });
      else reject(error);
    });
  });

/** The data folder that a command line names behind `--data`, quoted or not. */
export function dataOf(commandLine: string): { readonly data?: string } {
  const [, quoted, plain] = /--data[ =](?:"([^"]+)"|(\S+))/.exec(commandLine) ?? [];
  const data = quoted ?? plain;
  return data === undefined ? {} : { data };
}

/** The error for a tool that failed: its last line, and the way out where rights are missing. */
export function refusal(what: string, { err, out }: Ran, asAdministrator: string): MachineError {
  const said = (err.trim() === '' ? out : err).trim().split('\n').at(-1)?.trim() ?? '';
  const denied =
    /access (is )?denied|permission denied|authentication is required|not privileged|must be root/i.test(
      said,
    );
  if (denied)
    return new MachineError('MACHINE_DENIED', `this user may not ${what}; ${asAdministrator}`);
  const says = said.replace(/^aliquot-agent: | \[HOST_[A-Z_]+\]$/g, '').replace(/\.$/, '');
  return new MachineError(
    'MACHINE_REFUSED',
    says === '' ? `the system did not ${what}, and did not say why` : says,
  );
}
