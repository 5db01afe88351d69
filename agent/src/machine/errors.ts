import { AliquotError } from '@aliquot/proto';

export type MachineErrorCode =
  /** This user may not change services of the machine. */
  | 'MACHINE_DENIED'
  /** No service is installed that could be started, stopped or removed. */
  | 'MACHINE_NO_SERVICE'
  /**
   * There is nothing here that could run a service, or this program was not installed from a
   * package.
   */
  | 'MACHINE_NO_MANAGER'
  /** The machine's service manager said no. */
  | 'MACHINE_REFUSED'
  /** The service was started, and the agent in it does not answer. */
  | 'MACHINE_NO_ANSWER';

/** What goes wrong between the agent and the service manager of its machine. */
export class MachineError extends AliquotError<MachineErrorCode> {}
