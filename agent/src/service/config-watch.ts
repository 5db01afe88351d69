import { FileError } from '@aliquot/shared/durable/errors';
import type { Timers } from '@aliquot/shared/ports';
import type { AgentConfig } from '@aliquot/shared/settings/schema';

/** What the file says now: a whole configuration, or why there is none. */
export type ConfigRead = { readonly config: AgentConfig } | { readonly mistake: string };

export interface ConfigWatchParts {
  /** The file's text; undefined when it is not there. Rejects when it cannot be read. */
  readonly readText: () => Promise<string | undefined>;
  /** What no file means: a mistake, unless there never was one. */
  readonly absent: () => ConfigRead;
  /** What a text means. Pure. */
  readonly parse: (text: string) => ConfigRead;
  readonly timers: Timers;
  /** What is in force when the watch begins. */
  readonly inForce: AgentConfig;
  /** Another whole configuration: it should be in force from now on. */
  readonly onChange: (config: AgentConfig) => void;
  /** The file is wrong (what is in force goes on), or, with undefined, right again. */
  readonly onMistake: (mistake: string | undefined) => void;
}

/**
 * How often the file is looked at. A read costs less than what an event of its folder would, where
 * the agent itself writes all the time.
 */
const LOOK_MS = 1_000;

/**
 * Notices that the configuration file says something else than what is in force. An editor may be
 * half through writing, and half a list of folders is a whole configuration too: so a new text
 * counts when two looks in a row have seen it. `lookNow` (SIGHUP: a person says that it is
 * finished) takes it at once.
 */
export class ConfigWatch {
  readonly #parts: ConfigWatchParts;
  #inForce: string;
  /** The text that was judged last. */
  #judged: string | undefined;
  #seen: string | undefined;
  #mistake: string | undefined;
  #cancel: () => void = () => undefined;
  #looking: Promise<void> = Promise.resolve();
  #ended = false;

  constructor(parts: ConfigWatchParts) {
    this.#parts = parts;
    this.#inForce = JSON.stringify(parts.inForce);
  }

  start(): void {
    this.#later();
  }

  /** Looks, and takes what is there at once. */
  lookNow(): Promise<void> {
    this.#looking = this.#looking.then(() => this.#look(true));
    return this.#looking;
  }

  /** What a text means is not what it was: the same one is judged again, at once. */
  again(): Promise<void> {
    this.#judged = undefined;
    return this.lookNow();
  }

  async stop(): Promise<void> {
    this.#ended = true;
    this.#cancel();
    await this.#looking;
  }

  #later(): void {
    if (this.#ended) return;
    this.#cancel = this.#parts.timers.after(LOOK_MS, () => {
      this.#looking = this.#looking.then(() => this.#look(false)).then(() => this.#later());
    });
  }

  async #look(atOnce: boolean): Promise<void> {
    if (this.#ended) return;
    const text = await this.#parts.readText().catch((error: unknown) => unreadable(error));
    const seenTwice = this.#seen === textKey(text);
    this.#seen = textKey(text);
    if ((!atOnce && !seenTwice) || this.#judged === this.#seen) return;
    this.#judged = this.#seen;
    if (text === undefined) this.#judge(this.#parts.absent());
    else this.#judge(typeof text === 'string' ? this.#parts.parse(text) : text);
  }

  #judge(read: ConfigRead): void {
    if ('mistake' in read) {
      this.#mistake = read.mistake;
      this.#parts.onMistake(read.mistake);
      return;
    }
    if (this.#mistake !== undefined) this.#parts.onMistake(undefined);
    this.#mistake = undefined;
    const said = JSON.stringify(read.config);
    if (said === this.#inForce) return;
    this.#inForce = said;
    this.#parts.onChange(read.config);
  }
}

/** Only what the system says about files; anything else is a defect and goes on. */
function unreadable(error: unknown): { readonly mistake: string } {
  if (error instanceof FileError) return { mistake: error.message };
  throw error;
}

function textKey(text: string | { readonly mistake: string } | undefined): string {
  return text === undefined
    ? 'absent'
    : typeof text === 'string'
      ? `text ${text}`
      : `mistake ${text.mistake}`;
}
