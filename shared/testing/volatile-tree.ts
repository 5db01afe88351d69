import {
  chmodSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { nodeFiles, parentOf, type RawPath } from '../src/durable/file-port.ts';
import type { SeededRandom } from './random.ts';

/** What of the content that was not flushed is there after a power failure. */
export type ContentSurvival =
  | 'all'
  | 'none'
  | { readonly first: number }
  | { readonly blocks: SeededRandom };
/**
 * What of the creations, renames and removals that were not flushed is there; `first` counts them
 * from the oldest.
 */
export type NameSurvival = 'all' | 'none' | { readonly first: number };

/** A change of a file's content that no flush has covered. */
export type ContentChange =
  | { readonly type: 'write'; readonly bytes: Buffer; readonly position: number }
  | { readonly type: 'truncate'; readonly size: number };

export interface Attributes {
  readonly mode: number;
  readonly atimeNs: bigint;
  readonly mtimeNs: bigint;
}

/** A file, folder or symbolic link, whatever names it has. */
export class TreeNode {
  readonly kind: 'file' | 'directory' | 'symlink';
  /** Content as stable storage has it (of a link: its target). */
  durable: Buffer;
  pending: ContentChange[] = [];
  durableAttributes: Attributes | undefined;
  attributes: Attributes | undefined;

  constructor(kind: TreeNode['kind'], durable: Buffer, attributes?: Attributes) {
    this.kind = kind;
    this.durable = durable;
    this.durableAttributes = attributes;
    this.attributes = attributes;
  }

  /** A flush of the file; its attributes too, unless only of the data. */
  flush(withAttributes: boolean): void {
    this.durable = changed(this.durable, this.pending);
    this.pending = [];
    if (withAttributes) this.durableAttributes = this.attributes;
  }
}

interface NameChange {
  readonly folders: readonly string[];
  apply(names: Map<string, TreeNode>): void;
}

/** Blocks that survive or not, each for itself. */
const BLOCK_BYTES = 64;

/** A path as a key: each byte one character, so that names need not be UTF-8. */
export const keyOf = (path: RawPath): string => Buffer.from(path).toString('latin1');
const pathOf = (key: string): Buffer => Buffer.from(key, 'latin1');
const folderOf = (key: string): string => keyOf(parentOf(pathOf(key)));
const below = (key: string, folder: string): boolean => key.startsWith(`${folder}/`);

/**
 * What of a folder is on stable storage, by the harshest rules that POSIX allows: content and
 * attributes only by a flush of the file, names only by a flush of the folder. The real files
 * always show the present; this knows what a power failure leaves of it.
 */
export class VolatileTree {
  readonly #root: string;
  readonly #now = new Map<string, TreeNode>();
  #durable = new Map<string, TreeNode>();
  #pending: NameChange[] = [];

  /** Everything that is in the folder now is durable. */
  constructor(root: string) {
    this.#root = keyOf(root);
    this.#adopt(this.#root);
    this.#durable = new Map(this.#now);
  }

  /** The node behind a name; one is made for what nobody told this tree of. */
  node(path: RawPath): TreeNode {
    const key = keyOf(path);
    const known = this.#now.get(key);
    if (known !== undefined) return known;
    const found = readNode(key);
    this.#now.set(key, found);
    this.#durable.set(key, found);
    return found;
  }

  created(path: RawPath, kind: TreeNode['kind'], content = Buffer.alloc(0)): TreeNode {
    const node = new TreeNode(kind, content);
    this.#change([path], (names) => names.set(keyOf(path), node));
    return node;
  }

  linked(existing: RawPath, name: RawPath): void {
    const node = this.node(existing);
    this.#change([name], (names) => names.set(keyOf(name), node));
  }

  /**
   * Call before the real removal: the content of a file that nobody told this tree of is read here.
   */
  removing(path: RawPath): () => void {
    this.node(path);
    return () => this.#change([path], (names) => names.delete(keyOf(path)));
  }

  renamed(from: RawPath, to: RawPath, node: TreeNode): void {
    const [source, target] = [keyOf(from), keyOf(to)];
    this.#change([from, to], (names) => {
      for (const [key, moved] of [...names]) {
        if (!below(key, source)) continue;
        names.delete(key);
        names.set(target + key.slice(source.length), moved);
      }
      names.delete(source);
      names.set(target, node);
    });
  }

  /** A flush of a folder: what happened to its names is durable. */
  folderSynced(path: RawPath): void {
    const folder = keyOf(path);
    const kept: NameChange[] = [];
    for (const change of this.#pending) {
      if (change.folders.includes(folder)) change.apply(this.#durable);
      else kept.push(change);
    }
    this.#pending = kept;
  }

  /** Forgets what is in a folder, because somebody else keeps account of it. */
  forget(folder: string): void {
    for (const names of [this.#now, this.#durable])
      for (const key of [...names.keys()]) if (below(key, folder)) names.delete(key);
  }

  /** Takes what is in a folder as durable. */
  adopt(folder: string): void {
    this.#adopt(folder);
    for (const [key, node] of this.#now) if (below(key, folder)) this.#durable.set(key, node);
  }

  /** Name changes that no flush has covered. */
  get pendingNames(): number {
    return this.#pending.length;
  }

  /** Makes the real folder what the power failure left, and goes on from there. */
  async powerFails(content: ContentSurvival, names: NameSurvival): Promise<void> {
    const survivors = new Map(this.#durable);
    const count = names === 'all' ? this.#pending.length : names === 'none' ? 0 : names.first;
    for (const change of this.#pending.slice(0, count)) change.apply(survivors);
    for (const name of readdirSync(pathOf(this.#root), { encoding: 'buffer' })) {
      remove(Buffer.concat([pathOf(this.#root), Buffer.from('/'), name]));
    }
    this.#pending = [];
    this.#now.clear();
    const made = new Map<TreeNode, string>();
    for (const [key, node] of [...survivors].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))) {
      const folder = folderOf(key);
      // its folder did not survive
      if (folder !== this.#root && this.#now.get(folder)?.kind !== 'directory') continue;
      settle(node, content);
      const first = made.get(node);
      if (first !== undefined) linkSync(pathOf(first), pathOf(key));
      else make(key, node);
      made.set(node, key);
      this.#now.set(key, node);
    }
    for (const [node, key] of made) {
      if (node.kind === 'file' && node.durableAttributes !== undefined)
        await setAttributes(key, node.durableAttributes);
    }
    this.#durable = new Map(this.#now);
  }

  #change(paths: readonly RawPath[], apply: NameChange['apply']): void {
    apply(this.#now);
    this.#pending.push({
      folders: [...new Set(paths.map((path) => folderOf(keyOf(path))))],
      apply,
    });
  }

  #adopt(folder: string): void {
    for (const name of readdirSync(pathOf(folder), { encoding: 'buffer' })) {
      const key = `${folder}/${name.toString('latin1')}`;
      const node = readNode(key);
      this.#now.set(key, node);
      if (node.kind === 'directory') this.#adopt(key);
    }
  }
}

/** Content with the changes on top, in order. */
export function changed(content: Buffer, changes: readonly ContentChange[]): Buffer {
  let now = content;
  for (const change of changes) {
    if (change.type === 'truncate') {
      now =
        change.size <= now.length
          ? now.subarray(0, change.size)
          : Buffer.concat([now, Buffer.alloc(change.size - now.length)]);
      continue;
    }
    const grown = Buffer.alloc(Math.max(now.length, change.position + change.bytes.length));
    now.copy(grown);
    change.bytes.copy(grown, change.position);
    now = grown;
  }
  return Buffer.from(now);
}

function settle(node: TreeNode, survival: ContentSurvival): void {
  if (node.kind === 'file') node.durable = changed(node.durable, surviving(node.pending, survival));
  if (survival === 'all') node.durableAttributes = node.attributes;
  node.attributes = node.durableAttributes;
  node.pending = [];
}

function surviving(
  changes: readonly ContentChange[],
  survival: ContentSurvival,
): readonly ContentChange[] {
  if (survival === 'all') return changes;
  if (survival === 'none') return [];
  const kept: ContentChange[] = [];
  let room = 'first' in survival ? survival.first : 0;
  for (const change of changes) {
    if (change.type === 'truncate') {
      if ('blocks' in survival || room > 0) kept.push(change);
    } else if ('blocks' in survival) {
      for (let at = 0; at < change.bytes.length; at += BLOCK_BYTES) {
        if (!survival.blocks.chance(0.6)) continue;
        kept.push({
          type: 'write',
          bytes: change.bytes.subarray(at, at + BLOCK_BYTES),
          position: change.position + at,
        });
      }
    } else {
      const bytes = change.bytes.subarray(0, room);
      if (bytes.length > 0) kept.push({ type: 'write', bytes, position: change.position });
      room -= bytes.length;
    }
  }
  return kept;
}

function readNode(key: string): TreeNode {
  const path = pathOf(key);
  const facts = lstatSync(path, { bigint: true });
  const kind = facts.isDirectory() ? 'directory' : facts.isSymbolicLink() ? 'symlink' : 'file';
  const durable =
    kind === 'file'
      ? readFileSync(path)
      : kind === 'symlink'
        ? readlinkSync(path, { encoding: 'buffer' })
        : Buffer.alloc(0);
  const attributes = {
    mode: Number(facts.mode) & 0o7777,
    atimeNs: facts.atimeNs,
    mtimeNs: facts.mtimeNs,
  };
  return new TreeNode(kind, durable, attributes);
}

function make(key: string, node: TreeNode): void {
  const path = pathOf(key);
  if (node.kind === 'directory') mkdirSync(path, { mode: 0o700 });
  else if (node.kind === 'symlink') symlinkSync(node.durable, path);
  else writeFileSync(path, node.durable, { mode: 0o600 });
}

async function setAttributes(key: string, { mode, atimeNs, mtimeNs }: Attributes): Promise<void> {
  chmodSync(pathOf(key), mode);
  await nodeFiles.setLinkTimes(pathOf(key), atimeNs, mtimeNs);
}

/** As `rmSync` with `recursive`, for names that are not UTF-8 too. */
function remove(path: Buffer): void {
  if (!lstatSync(path).isDirectory()) {
    rmSync(path);
    return;
  }
  for (const name of readdirSync(path, { encoding: 'buffer' }))
    remove(Buffer.concat([path, Buffer.from('/'), name]));
  rmdirSync(path);
}
