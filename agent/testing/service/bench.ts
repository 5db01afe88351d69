/**
 * A whole agent in this process, on the real file system, with a collector that answers. Nothing
 * outside tests imports this file.
 */
import { join } from 'node:path';
import type { DiskPort } from '@aliquot/shared/derived/level-port';
import { nodeDisk } from '@aliquot/shared/derived/node-level';
import { systemRandom } from '@aliquot/shared/ports';
import { seededRandom } from '@aliquot/shared/testing/keys/fixtures';
import { systemCourtesy } from '../../src/courtesy/system-courtesy.ts';
import { openDesk } from '../../src/desk/open-desk.ts';
import type { Agent } from '../../src/folder/agent.ts';
import { fixedSources } from '../../src/folder/source-set.ts';
import type { QueueBudget } from '../../src/queue/intake/space.ts';
import { operate } from '../../src/service/operate.ts';
import type { AgentEvent, Request } from '../../src/socket/protocol.ts';
import { fromText } from '../../src/source/paths.ts';
import { Diagnostics } from '../../src/uplink/diagnosis-answer.ts';
import { TrustStore } from '../../src/uplink/trust.ts';
import { WebSocketUplink } from '../../src/uplink/ws-uplink.ts';
import { type Bench, openBench } from '../capture/bench.ts';
import { testIdentity, vault } from '../uplink/test-agent.ts';
import { TestCollector } from '../uplink/test-collector.ts';

/** How an operation ended. */
export interface Done {
  readonly events: AgentEvent[];
  readonly code: string | undefined;
}

export interface ServiceBench {
  readonly bench: Bench;
  readonly agent: Agent;
  readonly collector: TestCollector;
  /** A path in the watched folder. */
  at(name: string): string;
  perform(request: Request, changes?: Partial<Agent>): Promise<Done>;
  backup(offline?: boolean, changes?: Partial<Agent>): Promise<Done>;
  close(): Promise<void>;
}

export async function openServiceBench(
  budget?: QueueBudget,
  port: DiskPort = nodeDisk,
): Promise<ServiceBench> {
  const bench = await openBench({}, budget);
  const collector = new TestCollector(vault);
  const identity = testIdentity(await collector.listen());
  const { queue, clock, own, problems, references, underWay, places } = bench;
  const trust = await TrustStore.open(nodeDisk, own, identity);
  const uplink = new WebSocketUplink({
    identity,
    queue,
    trust,
    clock,
    random: seededRandom('bench'),
    software: 'test 1',
  });
  const agent: Agent = {
    dataDir: own,
    ownFolders: [fromText(own, '/')],
    identity,
    software: 'test 1',
    queue,
    uplink,
    problems,
    references,
    underWay,
    places,
    courtesy: systemCourtesy(undefined, clock),
    config: undefined,
    diagnostics: new Diagnostics(),
    desk: await openDesk(own, { port: nodeDisk, clock, random: systemRandom, identity }),
    clock,
    random: systemRandom,
    port,
    host: bench.host,
    sources: fixedSources([]),
    close: () => uplink.stop(),
  };
  const perform = async (request: Request, changes: Partial<Agent> = {}): Promise<Done> => {
    const events: AgentEvent[] = [];
    const emit = async (event: AgentEvent) => {
      if (event.event !== 'progress') events.push(event);
    };
    const code = await operate(
      { ...agent, host: bench.host, ...changes },
      undefined,
      request,
      emit,
      new AbortController().signal,
    ).then(
      () => undefined,
      (error: { code?: string }) => error.code ?? String(error),
    );
    return { events, code };
  };
  return {
    bench,
    agent,
    collector,
    at: (name) => join(bench.data, name),
    perform,
    backup: (offline = true, changes = {}) =>
      perform({ op: 'backup', paths: [bench.data], exclude: [], offline, dryRun: false }, changes),
    async close() {
      await uplink.stop();
      await collector.stop();
      await bench.close();
    },
  };
}

/** The events of one name. */
export function find({ events }: Done, name: string): AgentEvent[] {
  return events.filter(({ event }) => event === name);
}
