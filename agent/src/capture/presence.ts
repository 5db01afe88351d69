import { pathText } from '@aliquot/shared/cli/format';
import type { KnownFile, KnownFiles } from '../queue/ledger/ledger.ts';
import { type Mounts, mountOf, mountsNow } from '../source/mounts.ts';
import {
  type BytePath,
  bytePath,
  isWithin,
  parentOf,
  pathBytes,
  separator,
} from '../source/paths.ts';
import { type PlaceBook, type PlaceIdentity, sameIdentity } from '../source/places.ts';
import { type Problem, shellName } from '../source/problem.ts';
import type { CaptureHost, Seen } from './host.ts';

export interface PresenceParts {
  readonly host: CaptureHost;
  readonly queue: { readonly ledger: Pick<KnownFiles, 'known' | 'knownBatches'> };
  readonly places: PlaceBook;
}

/** What a look is about; see `Look`. */
export interface PresenceScope {
  readonly root: BytePath;
  readonly at: BytePath;
  /** `at` is what a person named: the look is at the whole of it. */
  readonly named: boolean;
  /** A person said that what is not there in `at` is gone. */
  readonly acceptGone: boolean;
  /** Nothing may be remembered. */
  readonly dryRun: boolean;
  /** What the rules leave out is never looked at: it may be a share that hangs. */
  readonly isLeftOut: (path: BytePath) => boolean;
}

/** What a look thinks of one place. */
interface State {
  /** As it was when the look began; undefined: not there, or not to be looked at. */
  readonly identity: PlaceIdentity | undefined;
  /** Why nothing in it may be called gone; undefined when what was known is there. */
  held: Problem | undefined;
  /** Whether that was asked again since the last batch of the walk came. */
  confirmed: boolean;
  /** Known things of it that were not found. */
  absent: number;
  /** The walk could not look everywhere in it. */
  blind: boolean;
}

/**
 * Decides whether what is known and not found may be called *gone*. A file that is not there is
 * gone only if its place is the one that it was (`PlaceIdentity`) and something else that was known
 * of it is still there. Where a drive or share went away, where another one or an empty folder took
 * its place, or where everything went at once, nothing is gone until it is found again or a person
 * says so.
 *
 * One for each look. `begin` comes before anything of the look is captured: what is captured in an
 * empty mount point must not vouch for what was mounted there.
 */
export class Presence {
  readonly #parts: PresenceParts;
  readonly #scope: PresenceScope;
  readonly #states = new Map<BytePath, State>();
  #mounts: Mounts | undefined;

  constructor(parts: PresenceParts, scope: PresenceScope) {
    this.#parts = parts;
    this.#scope = scope;
  }

  async begin(): Promise<void> {
    const { places } = this.#parts;
    const { root, at, named, isLeftOut } = this.#scope;
    this.#mounts = await mountsNow();
    const points = [...(this.#mounts?.keys() ?? [])].filter((point) => isWithin(point, root));
    const all = new Set([
      root,
      ...[...places.within(root), ...points].filter((path) => !isLeftOut(path)),
    ]);
    if (named) all.add(at);
    // The one that holds `at` comes first; then those in it.
    const order = [...all].sort((a, b) => a.length - b.length);
    const holder = order.filter((path) => isWithin(at, path)).at(-1) ?? root;
    for (const path of order)
      this.#states.set(path, {
        identity: undefined,
        held: undefined,
        confirmed: false,
        absent: 0,
        blind: false,
      });
    for (const path of order)
      if (path === holder || isWithin(path, at)) this.#states.set(path, await this.#judge(path));
    if (!this.#scope.dryRun) await places.save();
  }

  /** Another batch of the walk came: what was asked before may have changed meanwhile. */
  nextBatch(): void {
    for (const state of this.#states.values()) state.confirmed = false;
  }

  /** A folder that the walk came by; only where the system tells no mounts. */
  folder(path: BytePath, dev: bigint): void {
    if (this.#mounts !== undefined || this.#states.has(path)) return;
    const place = this.#placeOf(path);
    const fileSystem = this.#states.get(place)?.identity?.fileSystem;
    if (fileSystem === undefined || fileSystem === `${dev}`) return;
    const { places } = this.#parts;
    // Of a folder that is met for the first time nothing is known yet.
    if (!this.#scope.dryRun && places.get(path) === undefined)
      places.set(path, { identity: undefined, heldAtEntry: undefined });
  }

  /** Something known was found, unchanged or not: tells a place that was searched in vain. */
  saw(path: BytePath): void {
    const { places } = this.#parts;
    if (places.searching) places.setSearched(this.#placeOf(path), undefined);
  }

  /** Something could not be looked at. */
  blind(path: BytePath): void {
    for (const [place, state] of this.#states)
      if (isWithin(path, place) || isWithin(place, path)) state.blind = true;
  }

  /** Whether something known that was not found is gone. */
  async isGone(path: BytePath): Promise<boolean> {
    if (this.#accepts(path)) return true;
    const place = this.#placeOf(path);
    const state = this.#states.get(place);
    if (state === undefined) return false;
    state.absent += 1;
    if (state.held !== undefined || state.identity === undefined) return false;
    if (!state.confirmed) state.confirmed = await this.#isStill(place, state.identity);
    return state.confirmed;
  }

  /** Ends the look: remembers the places as they are, and reports those that are held. */
  async finish(): Promise<readonly { readonly path: BytePath; readonly problem: Problem }[]> {
    const { places } = this.#parts;
    const { at, named, root, dryRun } = this.#scope;
    const problems: { path: BytePath; problem: Problem }[] = [];
    for (const [path, state] of this.#states) {
      if (state.absent > 0 && state.held === undefined)
        state.held = await this.#changedMeanwhile(path, state);
      if (state.held !== undefined && state.absent > 0)
        problems.push({ path, problem: state.held });
      else if (!dryRun && (named || at === root) && isWithin(path, at) && !state.blind)
        this.#remember(path, state.identity);
    }
    if (!dryRun) await places.save();
    return problems;
  }

  #accepts(path: BytePath): boolean {
    return this.#scope.acceptGone && isWithin(path, this.#scope.at);
  }

  #placeOf(path: BytePath): BytePath {
    let best: BytePath | undefined;
    for (const place of this.#states.keys())
      if (isWithin(path, place) && place.length > (best?.length ?? -1)) best = place;
    return best ?? this.#scope.root;
  }

  async #judge(path: BytePath): Promise<State> {
    const { places, queue } = this.#parts;
    const now = await this.#identityOf(path);
    const place = places.get(path);
    const state: State = {
      identity: now,
      held: undefined,
      confirmed: false,
      absent: 0,
      blind: false,
    };
    if (this.#accepts(path)) return state;
    if (now === undefined) return { ...state, held: this.#problem(path, 'missing', undefined) };
    // What is captured as a link or file holds nothing: what was in a folder of that name is not to
    // be found by it.
    if (!now.isFolder) return { ...state, held: this.#problem(path, 'replaced', now) };
    const row =
      place?.identity === undefined ? await queue.ledger.known(pathBytes(path)) : undefined;
    const isSame =
      place?.identity === undefined
        ? !now.mount && (row === undefined || row.ino === now.ino)
        : sameIdentity(place.identity, now);
    const found = await this.#search(path, now, isSame);
    if (typeof found === 'string') {
      // A new mount is remembered before anything of it is captured, so that it is missed should it
      // go at once.
      if (found === 'nothing' && now.mount && place === undefined && !this.#scope.dryRun)
        places.set(path, { identity: now, heldAtEntry: undefined });
      return found === 'found' || isSame
        ? state
        : { ...state, held: this.#problem(path, 'replaced', now) };
    }
    if (!this.#scope.dryRun)
      places.set(path, {
        identity: place?.identity,
        heldAtEntry: place?.heldAtEntry ?? found.newestEntry,
      });
    return { ...state, held: this.#problem(path, isSame ? 'all-gone' : 'replaced', now) };
  }

  /**
   * Looks for something known of a place that is still there: in the same folder any file will do,
   * in another one it must be unchanged. Of a place that is held only what was known when that
   * began counts.
   */
  async #search(
    place: BytePath,
    now: PlaceIdentity,
    isSame: boolean,
  ): Promise<'found' | 'nothing' | { readonly newestEntry: number }> {
    const { places, queue } = this.#parts;
    const last = places.witness(place);
    const bound = places.get(place)?.heldAtEntry ?? Number.POSITIVE_INFINITY;
    const known = last === undefined ? undefined : await queue.ledger.known(pathBytes(last));
    if (known !== undefined && known.entry <= bound && (await this.#isThere(known, isSame)))
      return 'found';
    const state = `${now.fileSystem} ${now.mount} ${now.ino} ${now.bornNs}`;
    const isSearched = places.searchedIn(place) === state;
    let newestEntry = 0;
    for await (const batch of knownAt(queue.ledger, place)) {
      for (const file of batch) {
        const path = bytePath(file.path);
        if (file.kind === 'directory' || this.#placeOf(path) !== place) continue;
        newestEntry = Math.max(newestEntry, file.entry);
        if (isSearched || file.entry > bound || !(await this.#isThere(file, isSame))) continue;
        places.setWitness(place, path);
        return 'found';
      }
      if (isSearched && newestEntry > 0) break;
    }
    if (newestEntry === 0) return 'nothing';
    places.setSearched(place, state);
    return { newestEntry };
  }

  async #isThere(known: KnownFile, isSame: boolean): Promise<boolean> {
    const seen = await this.#parts.host.look(bytePath(known.path));
    if (typeof seen === 'string') return isSame && seen !== 'ENOENT' && seen !== 'ENOTDIR';
    if (seen.kind === 'directory') return false;
    return (
      isSame ||
      (seen.ctimeNs === known.ctimeNs &&
        seen.mtimeNs === known.mtimeNs &&
        (seen.kind !== 'file' || seen.size === known.size))
    );
  }

  /**
   * Whether the place is still what it was when the look began, and what vouched for it still
   * there.
   */
  async #isStill(place: BytePath, before: PlaceIdentity): Promise<boolean> {
    const now = await this.#identityOf(place, await mountsNow());
    if (now === undefined || !sameIdentity(now, before)) return false;
    const { places, queue } = this.#parts;
    const witness = places.witness(place);
    // Nothing but folders is known of it.
    if (witness === undefined) return true;
    const known = await queue.ledger.known(pathBytes(witness));
    return known !== undefined && (await this.#isThere(known, true));
  }

  /**
   * A place that was in order when the look began, and in which things are missing without a
   * witness.
   */
  async #changedMeanwhile(path: BytePath, { identity }: State): Promise<Problem | undefined> {
    if (identity === undefined) return undefined;
    const now = await this.#identityOf(path, await mountsNow());
    if (now === undefined) return this.#problem(path, 'missing', undefined);
    return sameIdentity(now, identity) ? undefined : this.#problem(path, 'replaced', now);
  }

  #remember(path: BytePath, identity: PlaceIdentity | undefined): void {
    const { places } = this.#parts;
    const isKept =
      (path === this.#scope.root && identity?.isFolder === true) || identity?.mount === true;
    // The root of a path that was only given to `backup`, and where nothing is mounted any more, is
    // a folder like any other. A file holds nothing: when it goes, the folder that it was in
    // vouches for that.
    if (identity !== undefined && isKept) places.set(path, { identity, heldAtEntry: undefined });
    else if (identity !== undefined || this.#scope.acceptGone) places.set(path, undefined);
  }

  async #identityOf(path: BytePath, mounts = this.#mounts): Promise<PlaceIdentity | undefined> {
    const seen = await this.#parts.host.look(path);
    if (typeof seen === 'string') return undefined;
    return mounts === undefined ? await this.#byDevice(path, seen) : byMount(mounts, path, seen);
  }

  async #byDevice(path: BytePath, { kind, dev, ino, bornNs }: Seen): Promise<PlaceIdentity> {
    const above = await this.#parts.host.look(parentOf(path));
    const mount = typeof above !== 'string' && above.dev !== dev;
    return { fileSystem: `${dev}`, mount, isFolder: kind === 'directory', ino, bornNs };
  }

  #problem(
    path: BytePath,
    why: 'missing' | 'replaced' | 'all-gone',
    now: PlaceIdentity | undefined,
  ): Problem {
    const { identity } = this.#parts.places.get(path) ?? {};
    const name = pathText(pathBytes(path));
    const wayOut = `if it is gone for good, say so: aliquot-agent backup ${shellName(name)} --accept-gone`;
    const was = identity === undefined ? '' : ` (${identity.fileSystem})`;
    if (why === 'all-gone')
      return said(
        'all-gone',
        `everything that was known in it is gone at once; nothing is marked gone; ${wayOut}`,
      );
    if (identity?.mount === true && now?.mount !== true)
      return said(
        'mount-missing',
        `what was mounted here${was} is not any more; nothing is marked gone; mount it, or, ${wayOut}`,
      );
    if (why === 'missing')
      return said(
        'root-missing',
        `is not there; if it is on a removable or network drive, connect it; ${wayOut}`,
      );
    const isOther =
      now === undefined || identity?.fileSystem === now.fileSystem
        ? ''
        : `: ${now.fileSystem}, not${was}`;
    return said(
      'replaced',
      `is another folder, drive or share than before${isOther}, without what was known; nothing is marked gone; ${wayOut}`,
    );
  }
}

function said(code: Problem['code'], message: string): Problem {
  return { code, message: message.slice(0, 500) };
}

function byMount(mounts: Mounts, path: BytePath, { kind, ino, bornNs }: Seen): PlaceIdentity {
  return {
    fileSystem: mountOf(mounts, path),
    mount: mounts.has(path),
    isFolder: kind === 'directory',
    ino,
    bornNs,
  };
}

/** What is known at and below a path, in byte order. */
export async function* knownAt(
  known: Pick<KnownFiles, 'known' | 'knownBatches'>,
  at: BytePath,
): AsyncGenerator<readonly KnownFile[], void, void> {
  // The root of a drive is the first of what begins with it.
  const self = at.endsWith(separator) ? undefined : await known.known(pathBytes(at));
  if (self !== undefined) yield [self];
  // Not by the bare prefix: `/data/run` must not read through all of `/data/run-2024`.
  for await (const batch of known.knownBatches(
    pathBytes(at.endsWith(separator) ? at : at + separator),
  ))
    yield batch;
}
