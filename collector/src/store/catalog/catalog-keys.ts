import {
  type AgentId,
  asAgentId,
  asChainId,
  asChunkId,
  asCommitHash,
  asFileId,
  asLineageId,
  type ChainId,
  type ChainPoint,
  type ChunkId,
  type CommitHash,
  type FileId,
  type GroupId,
  type HoldId,
  ID_BYTES,
  type LineageId,
  type PurgeId,
  type ResultId,
} from '@aliquot/proto';
import { RowReader, RowWriter } from './row.ts';

/**
 * Every key and value of the catalog, in one place. Keys are a letter and fixed-width parts,
 * numbers big-endian, so that byte order is the order of scans. Everything below `~` is a pure
 * function of history and packs (I-C2); `~` holds notes that neither contains and that may be lost:
 * last contacts, heartbeats, known damage.
 *
 * | key | value |
 * | --- | --- |
 * | `C` | how much of the history is in the catalog: file u32, offset u32 |
 * | `Y` file u32 | how often that file of the history was written anew: u32; no row where never |
 * | `P` pack u32 | how many bytes of that pack are: u64 |
 * | `S` | sums over the history: `Sums` |
 * | `T` | sums over the packs: `ItemSums` |
 * | `k` item id | `ItemRow`: where an item is, from the packs, of a slab with pieces and holes; who uploaded it first, its plain size and the pieces named, from the history |
 * | `W` pack u32 | `LivePack`: what of that pack is alive; no row where nothing is |
 * | `o` lineage, item id | `Owned`: in the agent's one set, where another lineage uploaded it first |
 * | `L` history | `LineageRow` |
 * | `a` agent id | `AgentRow`: state and places of its certificates |
 * | `u` group id | `GroupRow`: a certificate by which several PCs may enrol |
 * | `b` agent id, history | `ChainRow`: head of one of its lines, and newest receipt |
 * | `c` agent id, chain id | `ChainHeadRow`: newest commit of that chain id, and where it is |
 * | `x` agent id, chain id, sequence u64, commit hash | `LinkRow`: where an accepted commit is |
 * | `f` agent id, history | `HistoryRow`: a branch held apart, and what was decided |
 * | `g` lineage | `SweepRow`: how far the collection of its set has come |
 * | `G` agent id | when it was said to be lost: time u64, its leaf u64 |
 * | `A` | the collector's addresses: encoded `Signed` |
 * | `p` revision u64 | `PolicyRow`: leaf of the policy, since when it counts, its rules of retention |
 * | `h` hold id | `HoldRow` |
 * | `y` hold id, file id | (empty) a file that the hold's paths fit, as its authority said |
 * | `Q` purge id | `PurgeRow` |
 * | `j` leaf index u64, leaf of the approval u64 | `PurgedCommit`: where a commit stands as a purge has left it, and what went |
 * | `J` | records of purges before their approvals, those too that a crash has left for good |
 * | `t` agent id | the agent's settings: those handed out, and those that wait (`offersRow`) |
 * | `w` agent id, leaf index u64 | `LostRow`: a commit that came back without some of its versions |
 * | `l` leaf index u64 | position of its record, its type, the leaf |
 * | `n` level u8, index u64 | node hash of the Merkle log |
 * | `e` log epoch u32 | leaf index u64 of its opening |
 * | `q` leaf index u64 | `LoggedCorrection`: a correction of the collector's clock |
 * | `V` leaf index u64 | (empty) an event that could not be read: nothing may be thrown away |
 * | `r` leaf index u64 | a reported head that the log lacks: agent id |
 * | `H` history u32, file id | `HeadRow`: its newest version, "gone" included |
 * | `R` history u32, result id | `HeadRow`: its newest version; earlier ones follow in `E` |
 * | `B` history u32, leaf u48, group of slots u8 | `LiveRow`: which versions of a commit are live |
 * | `E` history u32, leaf u48, group of slots u8 | `EarlierRow`: what versions followed |
 * | `D` leaf u48, run u48 | slots that were dropped after that run (`LeafSlots`) |
 * | `X` 0 u32, run u32 | `RunRow`: a run of retention, and what became of it |
 * | `X` run u32, ffffffff | how many versions of each PC it is about to expire: until its event |
 * | `X` run u32, history u32, leaf u64 | slots of what it expired: bit i mod 8 of byte i / 8 |
 * | `~s` agent id | last contact u64, leaves of the log then u64 |
 * | `~b` agent id | time u64, leaves of the log then u64, newest signed heartbeat |
 * | `~r` agent id | `Rhythm`: began u64, weeks u8, each week u32 and longest gap u64 |
 * | `~t` agent id | what it last said: settings in force, release, answer (`saidRow`) |
 * | `~p` day u32 (since 1970) | bytes of all packs u64 on that day |
 * | `~d` item id | (empty) known to be damaged |
 * | `~h` leaf index u64 | `BrokenRow`: a commit whose record cannot be read any more |
 * | `~x` leaf index u64 | (empty) a commit that lacks something, and whose agent has no more of it |
 * | `~q` leaf index u64 | `LoggedCorrection`: one that the times in this catalog follow |
 * | `~l` | (empty) items are lacking that agents have uploaded: each answer looks whether it is held |
 * | `~c` | (empty) collection is paused |
 * | `~k` work u8 | `FailedWork`: what the collector does by itself, and failed the last time |
 * | `~z` history u32, id of a file or result, leaf u48, slot u16 | `DroppedNote`: a version that was dropped |
 * | `~f` | (empty) places are being forgotten, because a pack is gone |
 * | `~g` agent id, chain id | epoch u64 of the sweep that it answered, log epoch u32 in which it did |
 *
 * A history is the trunk of a lineage (its id is the lineage's) or one held apart (`branchIdOf`).
 * In the rows of its versions its number stands for it (`LineageRow`).
 * The one set (`k` and `o`) is the lineage's for all of them: they are one identity.
 */
export const CATALOG_VERSION = 23;

/** First key of the notes: everything before it is derived, everything from it on is not. */
const NOTES_BEGIN = Buffer.from('~');

/** Made in one piece: there is one for each file. */
function versionKey(text: 'H' | 'R' | 'B' | 'E', history: number, rest: Uint8Array): Buffer {
  const key = Buffer.allocUnsafe(VERSION_PREFIX_BYTES + rest.length);
  key.write(text, 0, 'latin1');
  key.writeUInt32BE(history, 1);
  key.set(rest, VERSION_PREFIX_BYTES);
  return key;
}

const VERSION_PREFIX_BYTES = 5;
const LEAF_BYTES = 6;

function groupBytes(leafIndex: number, group: number): Buffer {
  const bytes = Buffer.allocUnsafe(LEAF_BYTES + 1);
  bytes.writeUIntBE(leafIndex, 0, LEAF_BYTES);
  bytes[LEAF_BYTES] = group;
  return bytes;
}

/** Of versions whose ids begin with four bytes from one number on, below another. */
function idsBetween(text: 'H' | 'R', history: number, from: number, below: number): Range {
  const first = (number: number) => versionKey(text, history, new RowWriter().u32(number).finish());
  const { lt } = under(versionKey(text, history, NOTHING));
  return { gte: first(from), lt: below >= 2 ** 32 ? lt : first(below) };
}

/** Keys with their names in memory (`CatalogChange.enter`). */
interface NamedKeys {
  readonly keys: readonly Buffer[];
  readonly names: readonly string[];
}

/** Of the newest versions of a run of files, 16 bytes each: made in one piece for thousands. */
export function headKeys(history: number, files: Uint8Array): NamedKeys {
  const count = files.length / ID_BYTES;
  const length = VERSION_PREFIX_BYTES + ID_BYTES;
  const bytes = Buffer.allocUnsafe(count * length);
  const rowKeys: Buffer[] = [];
  const names: string[] = [];
  for (let row = 0; row < count; row += 1) {
    const at = row * length;
    bytes.write('H', at, 'latin1');
    bytes.writeUInt32BE(history, at + 1);
    const id = files.subarray(row * ID_BYTES, (row + 1) * ID_BYTES);
    bytes.set(id, at + VERSION_PREFIX_BYTES);
    rowKeys.push(bytes.subarray(at, at + length));
    names.push(bytes.toString('latin1', at, at + length));
  }
  return { keys: rowKeys, names };
}

const NOTHING = new Uint8Array(0);
/** In the place of a history's number. */
const TALLY = 0xffff_ffff;

/** Six bytes, as leaves have in the keys of versions. */
function u48(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(LEAF_BYTES);
  bytes.writeUIntBE(value, 0, LEAF_BYTES);
  return bytes;
}

const letter = (text: string): RowWriter => new RowWriter().fixed(Buffer.from(text, 'latin1'));

export const keys = {
  checkpoint: letter('C').finish(),
  historyFile: (file: number) => letter('Y').u32(file).finish(),
  pack: (pack: number) => letter('P').u32(pack).finish(),
  packLive: (pack: number) => letter('W').u32(pack).finish(),
  sums: letter('S').finish(),
  itemSums: letter('T').finish(),
  item: (id: Uint8Array) => letter('k').fixed(id).finish(),
  owned: (lineage: LineageId, id: Uint8Array) => letter('o').fixed(lineage).fixed(id).finish(),
  sweep: (lineage: LineageId) => letter('g').fixed(lineage).finish(),
  lostAgent: (agent: AgentId) => letter('G').fixed(agent).finish(),
  addresses: letter('A').finish(),
  unreadEvent: (leafIndex: number) => letter('V').u64(leafIndex).finish(),
  policy: (revision: number) => letter('p').u64(revision).finish(),
  settings: (agent: AgentId) => letter('t').fixed(agent).finish(),
  said: (agent: AgentId) => letter('~t').fixed(agent).finish(),
  lineage: (lineage: LineageId) => letter('L').fixed(lineage).finish(),
  agent: (agent: AgentId) => letter('a').fixed(agent).finish(),
  hold: (hold: HoldId) => letter('h').fixed(hold).finish(),
  heldFile: (hold: HoldId, file: FileId | ResultId) => letter('y').fixed(hold).fixed(file).finish(),
  purge: (purge: PurgeId) => letter('Q').fixed(purge).finish(),
  purged: (leafIndex: number, approvedLeaf: number) =>
    letter('j').u64(leafIndex).u64(approvedLeaf).finish(),
  purging: letter('J').finish(),
  group: (group: GroupId) => letter('u').fixed(group).finish(),
  line: (agent: AgentId, history: LineageId) => letter('b').fixed(agent).fixed(history).finish(),
  chainHead: (agent: AgentId, chain: ChainId) => letter('c').fixed(agent).fixed(chain).finish(),
  link: (agent: AgentId, { chainId, sequence, hash }: ChainPoint) =>
    letter('x').fixed(agent).fixed(chainId).u64(sequence).fixed(hash).finish(),
  history: (agent: AgentId, history: LineageId) => letter('f').fixed(agent).fixed(history).finish(),
  lost: (agent: AgentId, leafIndex: number) => letter('w').fixed(agent).u64(leafIndex).finish(),
  leaf: (index: number) => letter('l').u64(index).finish(),
  node: (level: number, index: number) => letter('n').u8(level).u64(index).finish(),
  epoch: (epoch: number) => letter('e').u32(epoch).finish(),
  correction: (leafIndex: number) => letter('q').u64(leafIndex).finish(),
  followed: (leafIndex: number) => letter('~q').u64(leafIndex).finish(),
  reported: (leafIndex: number) => letter('r').u64(leafIndex).finish(),
  head: (history: number, file: FileId) => versionKey('H', history, file),
  result: (history: number, result: ResultId) => versionKey('R', history, result),
  live: (history: number, leafIndex: number, group: number) =>
    versionKey('B', history, groupBytes(leafIndex, group)),
  earlier: (history: number, leafIndex: number, group: number) =>
    versionKey('E', history, groupBytes(leafIndex, group)),
  dropped: (leafIndex: number, run: number) =>
    letter('D').fixed(u48(leafIndex)).fixed(u48(run)).finish(),
  run: (run: number) => letter('X').u32(0).u32(run).finish(),
  tally: (run: number) => letter('X').u32(run).u32(TALLY).finish(),
  expired: (run: number, history: number, leafIndex: number) =>
    letter('X').u32(run).u32(history).u64(leafIndex).finish(),
  seen: (agent: AgentId) => letter('~s').fixed(agent).finish(),
  heartbeat: (agent: AgentId) => letter('~b').fixed(agent).finish(),
  rhythm: (agent: AgentId) => letter('~r').fixed(agent).finish(),
  packBytes: (day: number) => letter('~p').u32(day).finish(),
  damaged: (id: Uint8Array) => letter('~d').fixed(id).finish(),
  broken: (leafIndex: number) => letter('~h').u64(leafIndex).finish(),
  givenUp: (leafIndex: number) => letter('~x').u64(leafIndex).finish(),
  lacking: letter('~l').finish(),
  forgetting: letter('~f').finish(),
  gcPaused: letter('~c').finish(),
  failedWork: (work: number) => letter('~k').u8(work).finish(),
  droppedVersion: (history: number, id: Uint8Array, leafIndex: number, slot: number) =>
    letter('~z').u32(history).fixed(id).fixed(u48(leafIndex)).u16(slot).finish(),
  gcLearned: (agent: AgentId, chain: ChainId) => letter('~g').fixed(agent).fixed(chain).finish(),
};

export interface Range {
  readonly gte: Buffer;
  readonly lt: Buffer;
}

/** Every key that begins with `prefix`. */
function under(prefix: Buffer): Range {
  const lt = Buffer.from(prefix);
  for (let at = lt.length - 1; at >= 0; at -= 1) {
    if (lt[at] !== 0xff) {
      lt[at] = lt.readUInt8(at) + 1;
      return { gte: prefix, lt: lt.subarray(0, at + 1) };
    }
  }
  throw new RangeError('a prefix of 0xff bytes only has no end');
}

export const ranges = {
  agents: under(Buffer.from('a')),
  groups: under(Buffer.from('u')),
  holds: under(Buffer.from('h')),
  purges: under(Buffer.from('Q')),
  purged: under(Buffer.from('j')),
  purgedOf: (leafIndex: number) => under(letter('j').u64(leafIndex).finish()),
  lines: under(Buffer.from('b')),
  chainHeads: under(Buffer.from('c')),
  histories: under(Buffer.from('f')),
  sweeps: under(Buffer.from('g')),
  lostAgents: under(Buffer.from('G')),
  /** What others uploaded first, of all sets. */
  owned: under(Buffer.from('o')),
  /** The same of a lineage's set. */
  ownedOf: (lineage: LineageId) => under(letter('o').fixed(lineage).finish()),
  lost: under(Buffer.from('w')),
  policies: under(Buffer.from('p')),
  unreadEvents: under(Buffer.from('V')),
  settings: under(Buffer.from('t')),
  said: under(Buffer.from('~t')),
  linksOf: (agent: AgentId) => under(letter('x').fixed(agent).finish()),
  linksOn: (agent: AgentId, chain: ChainId) =>
    under(letter('x').fixed(agent).fixed(chain).finish()),
  lostOf: (agent: AgentId) => under(letter('w').fixed(agent).finish()),
  epochs: under(Buffer.from('e')),
  corrections: under(Buffer.from('q')),
  followed: under(Buffer.from('~q')),
  reported: under(Buffer.from('r')),
  seen: under(Buffer.from('~s')),
  heartbeats: under(Buffer.from('~b')),
  rhythms: under(Buffer.from('~r')),
  packBytes: under(Buffer.from('~p')),
  damaged: under(Buffer.from('~d')),
  broken: under(Buffer.from('~h')),
  gcLearned: under(Buffer.from('~g')),
  items: under(Buffer.from('k')),
  leaves: under(Buffer.from('l')),
  leavesBetween: (from: number, below: number): Range => ({
    gte: keys.leaf(from),
    lt: keys.leaf(below),
  }),
  heads: (history: number) => under(versionKey('H', history, NOTHING)),
  results: (history: number) => under(versionKey('R', history, NOTHING)),
  live: (history: number) => under(versionKey('B', history, NOTHING)),
  earlier: (history: number) => under(versionKey('E', history, NOTHING)),
  dropped: under(Buffer.from('D')),
  droppedBetween: (from: number, below: number): Range => ({
    gte: letter('D').fixed(u48(from)).finish(),
    lt: letter('D').fixed(u48(below)).finish(),
  }),
  droppedOf: (history: number, id: Uint8Array) =>
    under(letter('~z').u32(history).fixed(id).finish()),
  headsBetween: (history: number, from: number, below: number) =>
    idsBetween('H', history, from, below),
  resultsBetween: (history: number, from: number, below: number) =>
    idsBetween('R', history, from, below),
  runs: under(letter('X').u32(0).finish()),
  expired: (run: number) => under(letter('X').u32(run).finish()),
  expiredIn: (run: number, history: number) => under(letter('X').u32(run).u32(history).finish()),
  historyFiles: under(Buffer.from('Y')),
  packs: under(Buffer.from('P')),
  packLive: under(Buffer.from('W')),
  /** Everything that follows from history and packs. */
  derived: { gte: Buffer.alloc(0), lt: NOTES_BEGIN },
};

/** The parts of a key behind its letter, for scans. */
export const readKey = {
  /** Of a row of a file's newest version. */
  file: (key: Uint8Array): FileId => asFileId(new Uint8Array(key.subarray(VERSION_PREFIX_BYTES))),
  /** Of a row of a result's newest version. */
  result: (key: Uint8Array): ResultId =>
    new Uint8Array(key.subarray(VERSION_PREFIX_BYTES)) as ResultId,
  /** Of a row about a group of slots. */
  group: (key: Uint8Array): { readonly leafIndex: number; readonly group: number } => {
    const bytes = Buffer.from(key.buffer, key.byteOffset, key.byteLength);
    const leafIndex = bytes.readUIntBE(VERSION_PREFIX_BYTES, LEAF_BYTES);
    return { leafIndex, group: bytes.readUInt8(VERSION_PREFIX_BYTES + LEAF_BYTES) };
  },
  /** Of a row about what was dropped. */
  droppedLeaf: (key: Uint8Array): number =>
    Buffer.from(key.buffer, key.byteOffset, key.byteLength).readUIntBE(1, LEAF_BYTES),
  /** The run of such a row. */
  droppedRun: (key: Uint8Array): number =>
    Buffer.from(key.buffer, key.byteOffset, key.byteLength).readUIntBE(1 + LEAF_BYTES, LEAF_BYTES),
  /** Of a note of a version that was dropped. */
  droppedPlace: (key: Uint8Array): { readonly leafIndex: number; readonly slot: number } => {
    const bytes = Buffer.from(key.buffer, key.byteOffset, key.byteLength);
    const at = 2 + 4 + ID_BYTES;
    return {
      leafIndex: bytes.readUIntBE(at, LEAF_BYTES),
      slot: bytes.readUInt16BE(at + LEAF_BYTES),
    };
  },
  /** Of a row about what a run expired. */
  expiredLeaf: (key: Uint8Array): number => new RowReader(key.subarray(9)).u64(),
  item: (key: Uint8Array): ChunkId => asChunkId(new Uint8Array(key.subarray(1))),
  damaged: (key: Uint8Array): ChunkId => asChunkId(new Uint8Array(key.subarray(2))),
  noteDay: (key: Uint8Array): number => new RowReader(key.subarray(2)).u32(),
  noteAgent: (key: Uint8Array): AgentId => asAgentId(new Uint8Array(key.subarray(2, 18))),
  agent: (key: Uint8Array): AgentId => asAgentId(new Uint8Array(key.subarray(1, 17))),
  /** Of a link: the sequence of its commit. */
  linkSequence: (key: Uint8Array): number => new RowReader(key.subarray(33)).u64(),
  linkHash: (key: Uint8Array): CommitHash => asCommitHash(new Uint8Array(key.subarray(41, 73))),
  noteNumber: (key: Uint8Array): number => new RowReader(key.subarray(2)).u64(),
  /** Of how far the collection of its set has come. */
  lineage: (key: Uint8Array): LineageId => asLineageId(new Uint8Array(key.subarray(1, 17))),
  /** Of an item in a lineage's set. */
  ownedItem: (key: Uint8Array): ChunkId => asChunkId(new Uint8Array(key.subarray(17))),
  /** Behind an agent's id. */
  branchOf: (key: Uint8Array): LineageId => asLineageId(new Uint8Array(key.subarray(17, 33))),
  chainOf: (key: Uint8Array): ChainId => asChainId(new Uint8Array(key.subarray(17, 33))),
  noteChain: (key: Uint8Array): ChainId => asChainId(new Uint8Array(key.subarray(18, 34))),
  pack: (key: Uint8Array): number => new RowReader(key.subarray(1)).u32(),
  historyFile: (key: Uint8Array): number => new RowReader(key.subarray(1)).u32(),
  number: (key: Uint8Array): number => new RowReader(key.subarray(1)).u64(),
  epoch: (key: Uint8Array): number => new RowReader(key.subarray(1)).u32(),
};
