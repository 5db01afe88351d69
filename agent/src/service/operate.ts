import { exportToFile, importFromFile } from '../carry/operations.ts';
import { nameDeskProblems } from '../desk/problems.ts';
import { emitDiagnosis } from '../diagnose/emit.ts';
import type { Agent } from '../folder/agent.ts';
import { selfRestore } from '../restore/self-restore.ts';
import type { Emit, Request } from '../socket/protocol.ts';
import { pathStatus } from '../status/path-status.ts';
import { settings } from '../status/settings.ts';
import { status } from '../status/status.ts';
import type { ServiceView } from '../status/stock.ts';
import { setAddresses } from './addresses.ts';
import { backup } from './backup.ts';
import { flush } from './flush.ts';

/**
 * One request, on an agent that is open in this process. `view` is the running service's, undefined
 * without one.
 */
export function operate(
  agent: Agent,
  view: ServiceView | undefined,
  request: Request,
  emit: Emit,
  signal: AbortSignal,
): Promise<void> {
  switch (request.op) {
    case 'backup':
      return backup(agent, view, request, emit, signal);
    case 'flush':
      return flush(agent, view, emit, signal);
    case 'queueExport':
      return exportToFile(agent, request.file, emit, signal);
    case 'setAddresses':
      return setAddresses(agent, request.addresses, emit);
    case 'queueImport':
      return importFromFile(agent, request.file, emit, signal);
    case 'diagnose':
      return emitDiagnosis(agent, view, request.logFile, emit);
    case 'restore':
      return selfRestore(agent, request, emit, signal);
    case 'status':
      return status(agent, view, request, emit);
    case 'acknowledgeLost':
      return agent.queue.losses.acknowledge(request.versions);
    case 'acknowledgeUncovered':
      return acknowledgeUncovered(agent, request.paths);
    case 'settings':
      return settings(agent, emit);
    case 'paths':
      return pathStatus(agent, view, request, emit);
  }
}

/** A person has seen what lost its cover: it is shown no longer, here and at the collector. */
async function acknowledgeUncovered(
  { desk, problems, dataDir, queue }: Agent,
  paths: readonly string[],
): Promise<void> {
  await desk.acknowledge(paths);
  await nameDeskProblems(desk, problems, dataDir);
  await queue.sync();
}
