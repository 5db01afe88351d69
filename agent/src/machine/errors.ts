import { AliquotError, type ErrorCodes } from '@aliquot/proto';

const codes = {
  /** This user may not change services of the machine. */
  MACHINE_DENIED: 'final',
  /** No service is installed that could be started, stopped or removed. */
  MACHINE_NO_SERVICE: 'final',
  /**
   * There is nothing here that could run a service, or this program was not installed from a
   * package.
   */
  MACHINE_NO_MANAGER: 'final',
  /** The machine's service manager said no. */
  MACHINE_REFUSED: 'final',
  /** The service was started, and the agent in it does not answer. */
  MACHINE_NO_ANSWER: 'final',
} satisfies ErrorCodes;

export type MachineErrorCode = keyof typeof codes;

/** What goes wrong between the agent and the service manager of its machine. */
export class MachineError extends AliquotError<MachineErrorCode> {
  static override readonly codes = codes;
}
