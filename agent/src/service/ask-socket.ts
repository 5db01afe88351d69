import { ensureDirectory } from '@aliquot/shared/durable/durable';
import { FileError } from '@aliquot/shared/durable/errors';
import type { FilePort } from '@aliquot/shared/durable/file-port';
import { errnoOf } from '@aliquot/shared/durable/system-errors';
import type { Agent } from '../folder/agent.ts';
import { type AskPlace, askFolders, askPath } from '../socket/ask-place.ts';
import { AgentError } from '../socket/errors.ts';
import type { AskRequest, Emit } from '../socket/protocol.ts';
import { refuseForeign } from '../socket/socket-owner.ts';
import { type LocalSocket, listenForAll } from '../socket/socket-server.ts';
import { pathStatus } from '../status/path-status.ts';
import { settings } from '../status/settings.ts';
import { status } from '../status/status.ts';
import type { ServiceView } from '../status/stock.ts';

/** Answers a question that any user of this PC may ask. */
function answer(
  agent: Agent,
  view: ServiceView | undefined,
  request: AskRequest,
  emit: Emit,
): Promise<void> {
  if (request.op === 'settings') return settings(agent, emit);
  return request.op === 'paths'
    ? pathStatus(agent, view, request, emit)
    : status(agent, view, request, emit);
}

/**
 * Listens for questions of every user of this PC. Whatever process has the folder open does so, a
 * one-shot backup too, so that nobody has to stop it only to ask. Where there is no place that only
 * the service can have made, nobody listens: the answer is then why.
 */
export async function listenForQuestions(
  agent: Agent,
  view: () => ServiceView | undefined,
  place: AskPlace,
): Promise<LocalSocket | string> {
  const { port, dataDir } = agent;
  let why = 'there is no folder for it';
  for (const folder of askFolders(place)) {
    const path = askPath(folder, dataDir);
    try {
      if (place.platform !== 'win32') await prepare(port, folder, path, dataDir);
      return await listenForAll(path, (request, emit) => answer(agent, view(), request, emit));
    } catch (error) {
      if (
        !(error instanceof Error) ||
        !(error instanceof FileError || error instanceof AgentError || errnoOf(error) !== undefined)
      )
        throw error;
      why = error.message;
    }
  }
  return why;
}

async function prepare(
  port: FilePort,
  folder: string,
  path: string,
  dataDir: string,
): Promise<void> {
  await ensureDirectory(port, folder, 0o755);
  await refuseForeign(port, folder, dataDir);
  await port.unlink(path).catch((error: unknown) => {
    if (errnoOf(error) !== 'ENOENT') throw error;
  });
}
