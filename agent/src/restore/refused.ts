import { errnoOf } from '@aliquot/shared/durable/system-errors';
import { RestoreError } from '@aliquot/shared/restore/errors';

/**
 * What the system says where a service may not write: by its unit, or by the folder's owner and
 * mode.
 */
const refusals = ['EROFS', 'EACCES', 'EPERM'];

/**
 * A restore that the system refuses, with the way out for a service that is installed to read
 * everything and write nowhere (`deploy/linux/agent/agent.service`). Other errors as they are.
 */
export function withDropIn(error: unknown, platform: NodeJS.Platform = process.platform): unknown {
  if (
    platform !== 'linux' ||
    !(error instanceof RestoreError) ||
    !refusals.includes(errnoOf(error.cause) ?? '')
  )
    return error;
  const says = `${error.message}; where the agent runs as a service, a drop-in lets it write there (systemctl edit aliquot-agent: [Service] ReadWritePaths=FOLDER; docs/install-linux.md)`;
  return new RestoreError(error.code, says, { cause: error.cause });
}
