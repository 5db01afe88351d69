import { join } from 'node:path';
import { AliquotError } from '@aliquot/proto';
import {
  exists,
  readFileIfThere,
  removeTree,
  writeFileDurably,
} from '@aliquot/shared/durable/durable';
import type { FilePort } from '@aliquot/shared/durable/file-port';
import { endWith } from '@aliquot/shared/durable/unexpected';
import type { Clock, Timers } from '@aliquot/shared/ports';
import { programTarget } from '@aliquot/shared/release/targets';
import { compareVersions } from '@aliquot/shared/release/version';
import type { UpdateSettings } from '@aliquot/shared/settings/update';
import type { Logger } from 'pino';
import type { Problem } from '../source/problem.ts';
import { UplinkError } from '../uplink/errors.ts';
import type { UpdateBook } from './book.ts';
import { UpdateError } from './errors.ts';
import { type FolderInstall, type Install, ownPlatform, readBad, readTrial } from './install.ts';
import { refreshLists, type VendorFile } from './lists.ts';
import { ReleaseSource } from './source.ts';
import { askForTrial, unpackRelease, type VerifiedRelease } from './stage.ts';
import { isOpen } from './window.ts';

/** A wish that could not be carried out, or waits for its hour, is looked at again so often. */
const LOOK_MS = 5 * 60_000;
/**
 * The host did not try what it was asked to: once more after this long, so that a disk in trouble
 * does not restart the service for ever.
 */
const ASK_AGAIN_MS = 3_600_000;
/** A release that ends this often without the host saying why does not start. */
const MOST_ASKS = 3;

export interface UpdaterParts {
  readonly install: Install;
  readonly book: UpdateBook;
  readonly port: FilePort;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly log: Logger;
  /** What the desk's settings say now. */
  readonly wish: () => UpdateSettings | undefined;
  /** The session: the collector's software, and parts of its files; undefined without one. */
  readonly collector: () =>
    | { readonly software: string; readonly fetch: ConstructorParameters<typeof ReleaseSource>[0] }
    | undefined;
  /** Whether the instrument is at work (`pauseWhile`). */
  readonly isPaused: () => Promise<boolean>;
  /** Resolves when something may be worked on. */
  readonly beforeWork: () => Promise<void>;
  /** Tells central IT how things are; true when it was acknowledged. */
  readonly tellCentral: () => Promise<boolean>;
  /** Names what is wrong with updates, or (undefined) that nothing is any more. */
  readonly nameProblem: (problem: Problem | undefined) => Promise<void>;
  /** The service should end, so that its host starts what is staged. */
  readonly leave: () => void;
}

/**
 * Carries out which release this PC is to run: fetches, verifies and stages the one that both the
 * vendor's lists and the desk's settings name, and then has the host try it. On trial itself, it
 * confirms. Nothing that it meets makes it throw: what is wrong is named, and remembered.
 */
export class Updater {
  readonly #parts: UpdaterParts;
  #cancel: () => void = () => undefined;
  #looking: Promise<void> = Promise.resolve();
  #ended = false;
  #isLeaving = false;
  #told: string | undefined;
  #confirmed = false;

  constructor(parts: UpdaterParts) {
    this.#parts = parts;
  }

  /**
   * Looks what became of the last trial and after releases, at once and from then on by itself;
   * called again when there is a session, or other settings. Resolves when that look has ended.
   */
  look(): Promise<void> {
    this.#cancel();
    this.#soon();
    return this.#looking;
  }

  async stop(): Promise<void> {
    this.#ended = true;
    this.#cancel();
    await this.#looking;
  }

  #soon(): void {
    this.#looking = this.#looking.then(async () => {
      if (this.#ended || this.#isLeaving) return;
      await this.#guarded();
      this.#cancel();
      if (!this.#ended && !this.#isLeaving)
        this.#cancel = this.#parts.timers.after(LOOK_MS, () => this.#soon());
    });
  }

  async #guarded(): Promise<void> {
    const { log, wish } = this.#parts;
    try {
      const problem = await this.#decide();
      await this.#name(problem);
    } catch (error) {
      endWith(error);
      // The session went, or the disk is in trouble: looked at again.
      if (!(error instanceof AliquotError) || error instanceof UplinkError) return;
      const { code, message } = error;
      log.warn({ version: wish()?.version, code }, `a release is not taken: ${message}`);
      await this.#name(refusedProblem(wish()?.version ?? '', message));
      await this.#remember(code, message).catch(endWith);
    }
  }

  /** One look: what is wrong with updates, or nothing. Throws why a release is not taken. */
  async #decide(): Promise<Problem | undefined> {
    const { install, wish: wished } = this.#parts;
    const wish = wished();
    if (install.kind === 'folder') {
      if (await this.#isOnTrial(install)) return undefined;
      await this.#outcomeOf(install);
      await this.#forgive(wish?.version);
    }
    if (wish === undefined) return undefined;
    if (wish.version === install.version) {
      await this.#done();
      return undefined;
    }
    if (install.kind !== 'folder') return byOthers(install, wish.version);
    const bad = this.#parts.book.pages.bad.find(({ version }) => version === wish.version);
    if (bad !== undefined) return badProblem(bad.version, bad.reason, install.version);
    await this.#carryOut(install, wish);
    // It waits for its hour, or for a session: what was wrong with it before still counts.
    const { refused } = this.#parts.book.pages;
    return refused?.version === wish.version
      ? refusedProblem(wish.version, refused.message)
      : undefined;
  }

  /**
   * On trial: tells central IT how things are, and that done, tells the host that this version
   * works.
   */
  async #isOnTrial(install: FolderInstall): Promise<boolean> {
    const { port, log, tellCentral } = this.#parts;
    const trial = await readTrial(port, install.root);
    if (trial?.to !== install.version) return false;
    if (this.#confirmed || !(await tellCentral())) return true;
    const line = `${install.version} ${trial.starts}\n`;
    await writeFileDurably(port, join(install.root, 'confirmed'), Buffer.from(line), {
      mode: 0o644,
    });
    this.#confirmed = true;
    log.info(
      { version: install.version, instead: trial.from },
      'this release works: a session, and a heartbeat that was acknowledged',
    );
    return true;
  }

  /**
   * What became of the version that the host was asked to try: given up, as it says; or never
   * tried, as often as not.
   */
  async #outcomeOf({ root, version: own }: FolderInstall): Promise<void> {
    const { port, book, clock, log } = this.#parts;
    const { asked, bad } = book.pages;
    if (asked === undefined) return;
    if (asked.version === own) return book.write({ asked: undefined });
    const given = (await readBad(port, root)).find(({ version }) => version === asked.version);
    const trial = await readTrial(port, root);
    // The trial stands, and yet this version runs: the host cannot write down what became of it.
    const stands = trial?.to === asked.version && trial.from === own ? 'not-counted' : undefined;
    const reason =
      given?.reason ?? stands ?? (asked.times >= MOST_ASKS ? 'not-started' : undefined);
    if (reason === undefined) return;
    // First, for the disk may be full of it.
    const folder = join(root, 'versions', asked.version);
    if (await exists(port, folder)) await removeTree(port, folder);
    log.error(
      { version: asked.version, reason, running: own },
      'a release was given up; the one before runs again',
    );
    const entry = { version: asked.version, reason, atMs: clock.nowMs(), withdrawn: false };
    await book.write({
      asked: undefined,
      bad: [...bad.filter(({ version }) => version !== asked.version), entry],
    });
  }

  /** A bad version that the desk withdrew and then names again is tried again. */
  async #forgive(wished: string | undefined): Promise<void> {
    const { book } = this.#parts;
    const next = book.pages.bad
      .filter(({ version, withdrawn }) => version !== wished || !withdrawn)
      .map((entry) => ({ ...entry, withdrawn: entry.version !== wished }));
    if (JSON.stringify(next) !== JSON.stringify(book.pages.bad)) await book.write({ bad: next });
  }

  async #done(): Promise<void> {
    const { book } = this.#parts;
    if (book.pages.refused !== undefined) await book.write({ refused: undefined });
  }

  async #carryOut(install: FolderInstall, wish: UpdateSettings): Promise<void> {
    const { book, port, clock, collector, isPaused, log } = this.#parts;
    const { version } = wish;
    if (compareVersions(version, install.version) < 0) {
      const why = `release ${version} is older than ${install.version}, which runs; only the host goes back, and only from a trial`;
      throw new UpdateError('UPDATE_OLDER', `${why}: install it by hand, or name a newer one`);
    }
    const session = collector();
    if (session === undefined || !isOpen(wish.window, clock.nowMs()) || (await isPaused())) return;
    const theirs = / (\S+)$/.exec(session.software)?.[1] ?? '';
    if (compareVersions(version, theirs) > 0) {
      const way = 'update the collector first, this PC follows by itself';
      throw new UpdateError(
        'UPDATE_BEFORE_COLLECTOR',
        `release ${version} is newer than the collector's ${theirs}; ${way}`,
      );
    }
    const { asked } = book.pages;
    const waits = asked?.version === version && Math.abs(clock.nowMs() - asked.atMs) < ASK_AGAIN_MS;
    if (waits) return;
    const source = new ReleaseSource(session.fetch, () => this.#mayFetch(wish));
    const release = await this.#verified(version, source);
    await unpackRelease({ port, install, dir: book.dir, source }, release);
    // Minutes have passed: what was true before may not be any more.
    const now = this.#parts.wish();
    if (
      this.#ended ||
      now?.version !== version ||
      !isOpen(now.window, clock.nowMs()) ||
      (await isPaused())
    )
      return;
    await this.#clearHostsWord(install, version);
    const times = asked?.version === version ? asked.times + 1 : 1;
    await book.write({ asked: { version, times, atMs: clock.nowMs() }, refused: undefined });
    await askForTrial(port, install, version);
    log.info(
      { version, instead: install.version },
      'a release is unpacked and verified; the host tries it now',
    );
    this.#isLeaving = true;
    this.#parts.leave();
  }

  /**
   * Before each part of a file: not while the instrument is at work, not beyond the window, not
   * when the service ends.
   */
  async #mayFetch(wish: UpdateSettings): Promise<void> {
    await this.#parts.beforeWork();
    if (this.#ended || !isOpen(wish.window, this.#parts.clock.nowMs()))
      throw new UplinkError(
        'UPLINK_STOPPED',
        'fetching a release is broken off, and gone on with later',
      );
  }

  async #verified(version: string, source: ReleaseSource): Promise<VerifiedRelease> {
    const { book, port, install } = this.#parts;
    const root = book.pages.lists?.root ?? (await firstRoot(port, install));
    if (root === undefined)
      throw new UpdateError(
        'UPDATE_NO_ROOT',
        'this installation carries no root of the vendor (release-root.json): install a package that does',
      );
    const kept = book.pages.lists ?? { root };
    const lists = await refreshLists({ port, scratch: join(book.dir, 'lists'), kept, source });
    if (JSON.stringify(lists.kept) !== JSON.stringify(book.pages.lists))
      await book.write({ lists: lists.kept });
    const platform = ownPlatform();
    const program =
      platform === undefined ? undefined : await lists.find(programTarget(version, platform));
    if (
      program === undefined ||
      program.part.part !== 'program' ||
      program.part.version !== version ||
      program.part.platform !== platform
    ) {
      const why = `the vendor names no release ${version} for this platform (${platform ?? process.platform})`;
      throw new UpdateError(
        'UPDATE_ABSENT',
        `${why}: add a newer release to the collector, or name another`,
      );
    }
    return {
      program: program as VerifiedRelease['program'],
      node: await this.#nodeOf(lists.find, program.part.node.target),
    };
  }

  async #nodeOf(
    find: (name: string) => Promise<VendorFile | undefined>,
    name: string,
  ): Promise<VendorFile | undefined> {
    const node = await find(name);
    return node?.part.part === 'node' ? node : undefined;
  }

  /** A version that is tried again is not bad to the host either. */
  async #clearHostsWord({ root }: FolderInstall, version: string): Promise<void> {
    const { port } = this.#parts;
    const bad = await readBad(port, root);
    if (!bad.some((entry) => entry.version === version)) return;
    const rest = bad
      .filter((entry) => entry.version !== version)
      .map((entry) => `${entry.version} ${entry.reason}\n`);
    await writeFileDurably(port, join(root, 'bad'), Buffer.from(rest.join('')), { mode: 0o644 });
  }

  /**
   * Told once, not at every look; after a restart what was remembered stands until a look says
   * otherwise.
   */
  async #name(problem: Problem | undefined): Promise<void> {
    const told = problem === undefined ? '' : `${problem.code} ${problem.message}`;
    if (this.#told === told) return;
    this.#told = told;
    await this.#parts.nameProblem(problem);
  }

  async #remember(code: string, message: string): Promise<void> {
    const { book, clock, wish } = this.#parts;
    const version = wish()?.version ?? '';
    const { refused } = book.pages;
    if (refused?.version === version && refused.code === code && refused.message === message)
      return;
    await book.write({ refused: { version, code, message, atMs: clock.nowMs() } });
  }
}

/** The vendor's root that came with this installation. */
async function firstRoot(port: FilePort, install: Install): Promise<string | undefined> {
  if (install.kind !== 'folder') return undefined;
  const path = join(install.root, 'versions', install.version, 'release-root.json');
  if (!(await exists(port, path))) return undefined;
  return (await readFileIfThere(port, path, 1024 * 1024))?.toString('utf8');
}

function byOthers({ kind }: Install, version: string): Problem {
  const message =
    kind === 'package'
      ? `central IT names release ${version}; here the package manager brings releases: update aliquot-agent with it`
      : `central IT names release ${version}; this installation has no service host to change over: install the package`;
  return { code: 'release-by-others', message };
}

function refusedProblem(version: string, why: string): Problem {
  return {
    code: 'release-refused',
    message: `release ${version} is not taken: ${why}`.slice(0, 500),
  };
}

function badProblem(version: string, reason: string, running: string): Problem {
  const words: Record<string, string> = {
    died: 'ended three times',
    'no-session': 'did not reach the collector within ten minutes',
    'not-counted': 'left the disk so that nothing could be written',
    'not-started': 'was never started',
  };
  const why = words[reason] ?? reason;
  return {
    code: 'release-bad',
    message: `release ${version} ${why}; ${running} runs again; it is tried anew when central IT takes it back and names it anew`,
  };
}
