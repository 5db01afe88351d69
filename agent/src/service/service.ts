import { AliquotError } from '@aliquot/proto';
import { pathText } from '@aliquot/shared/cli/format';
import { errnoOf } from '@aliquot/shared/durable/system-errors';
import { endWith } from '@aliquot/shared/durable/unexpected';
import type { Logger } from 'pino';
import type { CourtesyEvent } from '../courtesy/courtesy.ts';
import { nameDeskProblems } from '../desk/problems.ts';
import { diagnosisForDesk } from '../diagnose/emit.ts';
import type { Agent } from '../folder/agent.ts';
import { defaultQueueBudget } from '../folder/queue-budget.ts';
import type { AskPlace } from '../socket/ask-place.ts';
import { endsWithItsCommand, type Operation, type Request } from '../socket/protocol.ts';
import type { SocketPlace } from '../socket/socket-path.ts';
import { type LocalSocket, listenLocally } from '../socket/socket-server.ts';
import { type BytePath, pathBytes } from '../source/paths.ts';
import { type Problem, pausedProblem } from '../source/problem.ts';
import { factsOf, metricsText } from '../status/metrics.ts';
import { fullBecause } from '../status/queue-view.ts';
import type { ServiceView } from '../status/stock.ts';
import type { EventPort } from '../watch/event-port.ts';
import { SourceWatch } from '../watch/source-watch.ts';
import { type WaitingForSpace, WatchLoop } from '../watch/watch-loop.ts';
import { listenForQuestions } from './ask-socket.ts';
import { type MetricsServer, serveMetrics } from './metrics-server.ts';
import { operate } from './operate.ts';
import { Reporter } from './reporter.ts';
import { captureWaiting } from './waiting.ts';

export interface ServiceParts {
  readonly agent: Agent;
  readonly events: EventPort;
  readonly scanIntervalSeconds: number;
  readonly place: SocketPlace;
  /** Where every user of this PC may ask. */
  readonly askPlace: AskPlace;
  /** Where Prometheus may ask, on this PC alone; nowhere by default. */
  readonly metrics?: { readonly host: string; readonly port: number } | undefined;
  readonly log: Logger;
  /** The end of the log. */
  readonly logTail?: (() => Promise<string>) | undefined;
}

/**
 * A scan may be late by its own length; after so many intervals without one, nobody knows how
 * things are.
 */
const SCANS_MISSED = 2;

/**
 * Carries out a command's request with a line of log: the one who asked may have gone before it
 * ends. Names no path.
 */
async function logged(log: Logger, request: Request, work: () => Promise<void>): Promise<void> {
  const { op } = request;
  try {
    await work();
    log[endsWithItsCommand(request) ? 'debug' : 'info']({ op }, 'a command is done');
  } catch (error) {
    const code = error instanceof AliquotError ? error.code : 'UNEXPECTED';
    log.warn({ op, code }, 'a command ended with an error');
    throw error;
  }
}

/**
 * The running service: watches, sends, answers commands. Made by `startService`, ended by `stop`.
 */
export class Service {
  readonly #parts: ServiceParts;
  #watches: readonly SourceWatch[];
  readonly #loop: WatchLoop;
  readonly #eventsMissing = new Map<BytePath, string>();
  #socket: LocalSocket | undefined;
  #askSocket: LocalSocket | undefined;
  #metrics: MetricsServer | undefined;
  readonly #reporter: Reporter;
  #trouble: string | undefined;
  #scannedLast = { files: 0, bytes: 0 };
  #toldWaiting = false;
  #unsubscribe: () => void = () => undefined;

  private constructor(parts: ServiceParts) {
    const { agent, events, scanIntervalSeconds } = parts;
    const { host, queue, problems, references, underWay, places, identity, clock } = agent;
    this.#parts = parts;
    // Windows writes the stamps of open files late, so there only the agent's own looks count.
    const shared = {
      host,
      queue,
      problems,
      references,
      underWay,
      places,
      pathKey: identity.pathKey,
      clock,
      trustStamps: process.platform !== 'win32',
    };
    this.#watches = agent.sources.now.map((source) => new SourceWatch(source, shared));
    const renew = async (): Promise<void> => {
      const before = new Map(this.#watches.map((watch) => [watch.source.root, watch]));
      this.#watches = (await agent.sources.refresh()).map((source) => {
        const watch = before.get(source.root);
        watch?.update(source);
        return watch ?? new SourceWatch(source, shared);
      });
    };
    this.#reporter = new Reporter(agent, () => this.view, parts.log);
    this.#loop = new WatchLoop({
      watches: () => this.#watches,
      renew,
      events,
      clock,
      scanIntervalMs: scanIntervalSeconds * 1000,
      waiting: this.#waiting(),
      listener: {
        captured: ({ versions, newFiles, changed, gone, bytes }) =>
          parts.log.info({ versions, newFiles, changed, gone, bytes }, 'captured'),
        scanned: ({ files, bytes, failed }) => this.#scanned(files, bytes, failed),
        looked: () => this.#reporter.tellChanges(),
        failed: (error) => this.#failed(error),
        events: (root, because) => this.#events(root, because),
        lost: (root, because) =>
          parts.log.info(
            { source: pathText(pathBytes(root)), because },
            'file events may be lost; a scan follows',
          ),
      },
    });
  }

  /** Listens for commands, connects, watches. Resolves when it is ready for commands. */
  static async start(parts: ServiceParts): Promise<Service> {
    const service = new Service(parts);
    const { agent, place, log } = parts;
    const operation: Operation = (request, emit, signal) =>
      logged(log, request, () => operate(agent, service.view, request, emit, signal));
    service.#socket = await listenLocally(agent.port, agent.dataDir, place, operation);
    const forAll = await listenForQuestions(agent, () => service.view, parts.askPlace);
    if (typeof forAll === 'string')
      log.warn({ because: forAll }, 'users of this PC cannot ask for the status without --data');
    else service.#askSocket = forAll;
    await service.#serveMetrics();
    service.#unsubscribe = agent.uplink.subscribe((event) => {
      if (event.type === 'state') {
        const { state, problem } = event.status;
        if (state === 'ready') service.#reporter.connected();
        if (problem === undefined) log.info({ state }, 'connection');
        else log.warn({ state, code: problem.code }, problem.message);
      } else if (event.type === 'receipt')
        log.info({ commit: event.sequence, versions: event.entries }, 'receipt');
      else log.warn({ code: event.code }, event.message);
    });
    const unsubscribe = service.#unsubscribe;
    const ofQueue = agent.queue.subscribe((event) => {
      service.#tellWaiting();
      if (event.type === 'space') service.#loop.spaceAgain();
    });
    const ofCourtesy = agent.courtesy.subscribe((event) => service.#heldBack(event));
    const ofDesk = agent.desk.subscribe(() => void service.#nameDesk());
    await service.#nameDesk();
    service.#unsubscribe = () => {
      ofDesk();
      unsubscribe();
      ofQueue();
      ofCourtesy();
    };
    agent.diagnostics.make = async ({ name }) => {
      log.info({ operator: name }, 'a diagnosis is given to an operator who asked');
      return diagnosisForDesk(agent, service.view);
    };
    void agent.uplink.start();
    service.#loop.start();
    return service;
  }

  /** Scans all sources soon, whatever the interval says. */
  scanSoon(): void {
    this.#loop.scanSoon();
  }

  /** Resolves when no command is being served. */
  async idle(): Promise<void> {
    await this.#socket?.idle();
  }

  /**
   * Names why something is not as it should be, or (with undefined) that it is again; central IT
   * hears of it at once.
   */
  async nameProblem(path: BytePath, problem: Problem | undefined): Promise<void> {
    const { problems, queue } = this.#parts.agent;
    try {
      if (problem === undefined) await problems.clear(path);
      else await problems.set(path, problem);
      await queue.sync();
    } catch (error) {
      // A full disk must not end the service; what cannot be written is at least in the log.
      if (!(error instanceof AliquotError)) throw error;
      this.#parts.log.error({ code: error.code, problem: problem?.message }, error.message);
    }
    this.#reporter.tell();
  }

  /** What central IT's settings made wrong is a problem here, and is reported at once. */
  async #nameDesk(): Promise<void> {
    const { agent, log } = this.#parts;
    const { desk, problems, dataDir, queue } = agent;
    const before = problems.changes;
    try {
      await nameDeskProblems(desk, problems, dataDir);
      if (problems.changes === before) return;
      await queue.sync();
    } catch (error) {
      if (!(error instanceof AliquotError)) throw error;
      log.error({ code: error.code }, error.message);
    }
    this.#reporter.tell();
  }

  get socketPath(): string {
    return this.#socket?.path ?? '';
  }

  /**
   * Tells running commands to end, and stops watching; a file at hand is captured at the next
   * start. The agent is the caller's to close.
   */
  async stop(): Promise<void> {
    this.#parts.agent.diagnostics.make = undefined;
    // Who waits for the instrument to be done waits no longer.
    this.#parts.agent.courtesy.end();
    await this.#socket?.close();
    await this.#askSocket?.close();
    await this.#metrics?.close();
    await this.#parts.agent.uplink.stop();
    await this.#loop.stop();
    this.#unsubscribe();
    await this.#reporter.stop();
  }

  get view(): ServiceView {
    const watches = this.#watches;
    const { lastScan, scanning } = this.#loop;
    const ageMs =
      lastScan === undefined
        ? Number.POSITIVE_INFINITY
        : Math.abs(this.#parts.agent.clock.nowMs() - lastScan.endedMs);
    const since = watches.flatMap(({ settlingSinceMs }) => settlingSinceMs ?? []);
    return {
      lastScan,
      isFresh: ageMs <= SCANS_MISSED * this.#parts.scanIntervalSeconds * 1000,
      scanning,
      found: this.#scannedLast,
      settling: function* () {
        for (const watch of watches) yield* watch.settling();
      },
      ready: function* () {
        for (const watch of watches) yield* watch.ready();
      },
      unlisted: watches.reduce((sum, { unlisted }) => sum + unlisted, 0),
      settlingSinceMs: since.length === 0 ? undefined : Math.min(...since),
      sources: watches.map(({ source, excluded }) => ({
        root: source.root,
        isLink: source.isLink,
        eventsMissing: this.#eventsMissing.get(source.root),
        excluded,
      })),
      ...(this.#parts.logTail === undefined ? {} : { log: this.#parts.logTail }),
      trouble: this.#trouble,
    };
  }

  /** A page that cannot be shown must not end what protects. */
  async #serveMetrics(): Promise<void> {
    const { agent, log, metrics } = this.#parts;
    if (metrics === undefined) return;
    try {
      this.#metrics = await serveMetrics(metrics, async () =>
        metricsText(await factsOf(agent, this.view)),
      );
      log.info({ url: this.#metrics.url }, 'metrics');
    } catch (error) {
      const code = errnoOf(error);
      if (code === undefined) throw error;
      log.error(
        { code, ...metrics },
        'the page for Prometheus cannot be served: choose another port in metrics.listen',
      );
    }
  }

  /** What the queue had no space for. */
  #waiting(): WaitingForSpace {
    const { agent } = this.#parts;
    const { queue, references } = agent;
    return {
      get files() {
        return references.files;
      },
      ask: async () => void (await queue.intake.space()),
      capture: (all, signal) => {
        const onChanged = (path: BytePath) => {
          for (const watch of this.#watches) watch.touch(path);
        };
        return captureWaiting(agent, { where: () => true, all, onChanged }, signal);
      },
    };
  }

  /** One line of log when the first result waits for room, and one when none does any more. */
  #tellWaiting(): void {
    const { agent, log } = this.#parts;
    const { files } = agent.references;
    if (files > 0 === this.#toldWaiting) return;
    this.#toldWaiting = files > 0;
    if (files > 0) void this.#tellFull(files);
    else log.info('the queue has room again; nothing waits at its source any more');
  }

  async #tellFull(files: number): Promise<void> {
    const { agent, log } = this.#parts;
    const usage = await agent.queue.intake.usage().catch((error: unknown) => {
      if (error instanceof AliquotError) return undefined;
      throw error;
    });
    // A disk that does not even say what it has free is no reason to say nothing.
    const because =
      usage === undefined
        ? undefined
        : fullBecause({ ...(usage.budget ?? defaultQueueBudget), freeBytes: usage.freeBytes });
    log.error(
      { files, because },
      'the queue is full; complete results are only at their source until there is room',
    );
  }

  /**
   * Says that the agent holds back; a pause that lasts for long is a named problem of every source,
   * here and at the collector (P6).
   */
  #heldBack(event: CourtesyEvent): void {
    const { log } = this.#parts;
    if (event.type === 'paused') log.info({ because: event.pause.because }, 'paused');
    else if (event.type === 'pausedLong')
      log.warn({ because: event.pause.because }, 'paused for long; nothing new is captured');
    else log.info('the pause is over');
    this.#namePause(event).catch((error: unknown) => this.#failed(error));
  }

  async #namePause(event: CourtesyEvent): Promise<void> {
    if (event.type === 'paused') return;
    const { agent } = this.#parts;
    for (const { root } of agent.sources.now) {
      if (event.type === 'pausedLong')
        await agent.problems.set(root, pausedProblem(event.pause.because));
      else await agent.problems.clear(root, 'paused');
    }
    if (event.type === 'pausedLong') this.#reporter.tell();
  }

  #scanned(files: number, bytes: number, failed: number): void {
    const { log } = this.#parts;
    this.#trouble = undefined;
    this.#tellWaiting();
    log.info({ files, bytes, failed }, 'scan finished');
    this.#scannedLast = { files, bytes };
    this.#reporter.tell();
  }

  #failed(error: unknown): void {
    endWith(error);
    this.#trouble = error instanceof Error ? error.message : String(error);
    this.#parts.log.error({ error: this.#trouble }, 'a scan failed; it is tried again');
  }

  #events(root: BytePath, because: string | undefined): void {
    if (because === undefined) this.#eventsMissing.delete(root);
    else {
      this.#eventsMissing.set(root, because);
      this.#parts.log.warn(
        { source: pathText(pathBytes(root)), because },
        'no file events; only scans find changes',
      );
    }
  }
}
