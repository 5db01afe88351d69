import {
  type CommitBlock,
  decodeSignedCommit,
  encodeWrap,
  type SignedCommit,
  type StoredPurged,
  type VaultDescriptorBody,
} from '@aliquot/proto';
import { verifyCommit } from '@aliquot/shared/commit/commit';
import { blockDigest, type HeldBlock } from '@aliquot/shared/commit/held-block';
import { keysWholeSlab } from '@aliquot/shared/commit/purge';
import { readCommit } from '@aliquot/shared/commit/rows';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import { isSet } from '../catalog/item-row.ts';
import { StoreError } from '../errors.ts';
import type { VaultCore } from './core.ts';
import type { Concerned, ConcernedCommit } from './purge-commits.ts';

function bad(why: string): StoreError {
  return new StoreError('STORE_BAD_EVENT', why);
}

/**
 * Whether these are the concerned commits, sealed anew without what goes and otherwise the same, as
 * far as that shows without a key: signatures, roots and the hashes of clear rows hold, nothing but
 * rows of the order is missing, and no key of a slab is left of which a piece goes. Throws
 * `STORE_BAD_EVENT`, CommitError, FormatError.
 */
export function checkPurged(
  core: VaultCore,
  { vaultId }: VaultDescriptorBody,
  { commits, opensPurged }: Concerned,
  forms: readonly StoredPurged[],
): void {
  const isAll =
    forms.length === commits.length &&
    forms.every(({ leafIndex, slots, part }, at) => {
      const one = commits[at];
      return part === at && leafIndex === one?.leafIndex && equalBytes(slots, one.slots);
    });
  if (!isAll)
    throw bad('the commits that came are not those that the purge is about: approve it again');
  for (const [at, form] of forms.entries()) {
    const agent = core.registry.certificate(readCommit(form.commit).header.agentId);
    if (agent === undefined) throw bad('a commit that came is of no agent of this vault');
    verifyCommit(form.commit, { vaultId, agent });
    checkOne(commits[at] as ConcernedCommit, form, opensPurged);
  }
}

function checkOne(
  concerned: ConcernedCommit,
  { commit, leafIndex }: StoredPurged,
  opensPurged: Concerned['opensPurged'],
): void {
  const refuse = (what: string) => bad(`the commit at leaf ${leafIndex} that came ${what}`);
  const [before, after] = [decodeSignedCommit(concerned.commit), decodeSignedCommit(commit)];
  if (!isSameBeside(before, after)) throw refuse('is another one beside what is purged');
  const { blocks: was } = readCommit(concerned.commit).rows;
  const { blocks: is } = readCommit(commit).rows;
  if (was.length !== is.length) throw refuse('has other blocks');
  for (const [at, old] of was.entries()) {
    const anew = is[at] as HeldBlock;
    const mustGo = [...old.rows.numbers].filter((number) =>
      isSet(concerned.slots, old.from + number),
    );
    if (isSameBlock(old, anew)) {
      if (mustGo.length > 0 || keysWholeSlab(old.rows, opensPurged))
        throw refuse('still has what was to be purged');
      continue;
    }
    if (!anew.rows.isPurged || !equalBytes(blockDigest(anew), blockDigest(old)))
      throw refuse('has a block that is not one of its agent’s, sealed anew');
    const gone = new Set([...old.rows.purged.map(({ number }) => number), ...mustGo]);
    const isGone =
      anew.rows.purged.length === gone.size &&
      anew.rows.purged.every(({ number }) => gone.has(number));
    if (!isGone) throw refuse('lacks other rows than those that were ordered');
    if (keysWholeSlab(anew.rows, opensPurged))
      throw refuse('has the key of a slab of which a piece is purged');
  }
}

/** Everything but the blocks. */
function isSameBeside(a: SignedCommit, b: SignedCommit): boolean {
  return (
    equalBytes(a.header, b.header) &&
    equalBytes(a.signature, b.signature) &&
    a.headerOnly === b.headerOnly &&
    a.lacking.length === b.lacking.length &&
    a.lacking.every((slot, at) => slot === b.lacking[at]) &&
    equalBytes(a.lossSignature ?? NOTHING, b.lossSignature ?? NOTHING) &&
    a.wraps.length === b.wraps.length &&
    a.wraps.every((wrap, at) => {
      const other = b.wraps[at];
      return other !== undefined && equalBytes(encodeWrap(wrap), encodeWrap(other));
    })
  );
}

const NOTHING = new Uint8Array(0);

function isSameBlock(a: CommitBlock, b: CommitBlock): boolean {
  return (
    equalBytes(a.block, b.block) &&
    equalBytes(a.listBox, b.listBox) &&
    equalBytes(a.readBox, b.readBox) &&
    equalBytes(a.formerDigest ?? NOTHING, b.formerDigest ?? NOTHING) &&
    equalBytes(a.formerMarks ?? NOTHING, b.formerMarks ?? NOTHING) &&
    equalBytes(a.gone?.rowsHash ?? NOTHING, b.gone?.rowsHash ?? NOTHING)
  );
}
