import type { Logger } from 'pino';
import type { Agent } from '../folder/agent.ts';
import type { Service } from '../service/service.ts';
import { fromText } from '../source/paths.ts';
import { tellCentral } from '../status/heartbeat.ts';
import { systemTimers } from '../uplink/timers.ts';
import { UpdateBook } from './book.ts';
import type { Install } from './install.ts';
import { Updater } from './updater.ts';

/** The exit code that asks the host to try what is staged (`deploy/host/switch.h`). */
export const STAGED_EXIT_CODE = 75;

/**
 * Looks after releases for a running service; the answer ends that. `leave`: the service should
 * end, for its host to change over.
 */
export async function keepUpToDate(
  agent: Agent,
  service: Service,
  {
    install,
    log,
    leave,
  }: { readonly install: Install; readonly log: Logger; readonly leave: () => void },
): Promise<() => Promise<void>> {
  const { port, clock, dataDir, uplink, courtesy, desk } = agent;
  const place = fromText(install.kind === 'folder' ? install.root : process.execPath, '/');
  const updater = new Updater({
    install,
    book: await UpdateBook.open(port, dataDir),
    port,
    clock,
    timers: systemTimers,
    log,
    wish: () => {
      const effective = desk.text === undefined ? undefined : desk.effective(undefined);
      return effective === undefined || 'mistakes' in effective ? undefined : effective.update;
    },
    collector: () => {
      const { collectorSoftware: software } = uplink.status();
      return software === undefined
        ? undefined
        : { software, fetch: (name, offset) => uplink.releasePart(name, offset) };
    },
    isPaused: async () => (await courtesy.paused()) !== undefined,
    beforeWork: () => courtesy.beforeWork(),
    tellCentral: () => tellCentral(agent, service.view, undefined),
    nameProblem: (problem) => service.nameProblem(place, problem),
    leave,
  });
  const ofUplink = uplink.subscribe((event) => {
    if (event.type === 'state' && event.status.state === 'ready') void updater.look();
  });
  const ofDesk = desk.subscribe(() => void updater.look());
  void updater.look();
  return async () => {
    ofUplink();
    ofDesk();
    await updater.stop();
  };
}
