import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import type { DemoService } from '../../demo/programs.ts';

/**
 * How long a program that ended stays away before it is started again, as a service manager does.
 */
const RESTART_MS = 300;

/** A program that is started again whenever it ends, until it is stopped. */
export class Kept {
  readonly #start: () => DemoService;
  #service: DemoService | undefined;
  #stopping = false;
  #loop: Promise<void> = Promise.resolve();
  /** How often it ended without having been killed or stopped: of itself. */
  failures = 0;
  lastComplaint = '';
  #killed = false;

  constructor(start: () => DemoService) {
    this.#start = start;
  }

  run(): void {
    this.#stopping = false;
    this.#loop = this.#keep();
  }

  async #keep(): Promise<void> {
    while (!this.#stopping) {
      const service = this.#start();
      this.#service = service;
      this.#killed = false;
      await once(service.child, 'close');
      if (!this.#killed && !this.#stopping) {
        this.failures += 1;
        this.lastComplaint = service.complaint.trim().split('\n').at(-1) ?? '';
      }
      await delay(RESTART_MS);
    }
  }

  get pid(): number | undefined {
    return this.#service?.child.pid;
  }

  /** kill -9; it is started again. */
  kill(): void {
    this.#killed = true;
    this.#service?.child.kill('SIGKILL');
  }

  /** Stops the whole process where it is, sockets open. */
  freeze(): void {
    this.#service?.child.kill('SIGSTOP');
  }

  thaw(): void {
    this.#service?.child.kill('SIGCONT');
  }

  /** Ends it for good; gives its exit code. */
  async stop(): Promise<number> {
    this.#stopping = true;
    this.thaw();
    const code = (await this.#service?.stop()) ?? 0;
    await this.#loop;
    return code;
  }
}
