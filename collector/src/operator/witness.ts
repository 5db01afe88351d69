import {
  type AliquotError,
  type CollectorCertificateBody,
  decodeSigned,
  type TreeHead,
} from '@aliquot/proto';
import { formatInstant } from '@aliquot/shared/cli/format';
import { hex } from '@aliquot/shared/crypto/bytes';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import { FileError } from '@aliquot/shared/durable/errors';
import { CertificateError } from '@aliquot/shared/keys/certificates';
import { type Authority, verifyContinuation } from '@aliquot/shared/log/continuation';
import { LogError } from '@aliquot/shared/log/errors';
import { EMPTY_ROOT } from '@aliquot/shared/log/hashing';
import { verifyHead } from '@aliquot/shared/log/receipt';
import { fromBase64 } from '../api/base64.ts';
import type { LogProofs } from '../api/log-messages.ts';
import { CommandError } from '../cli/command-error.ts';
import { type CommandContext, outputOf } from '../cli/context.ts';
import { onLeaf } from './client/ask.ts';
import type { VaultClient } from './client/vault-client.ts';
import { keepDecisions } from './decisions.ts';
import { type SeenHead, type Witness, WitnessBook } from './witness-book.ts';
import { WitnessError } from './witness-error.ts';

/*
 * Operators as witnesses. A collector can show an agent one log and an operator another as long as
 * nobody compares; so every command that talks to a collector keeps the newest head that it was
 * shown, and demands a proof of continuation from then on.
 */

/** What the log shows now, judged by what this operator has seen of it before. */
export interface Witnessed {
  /** From before this command; undefined at first sight, and where no state folder is. */
  readonly before: Witness | undefined;
  readonly after: Witness;
  /** Why the collector is not to be trusted; undefined when its log continues what was seen. */
  readonly failure: WitnessError | undefined;
}

const emptyHead: TreeHead = { logEpoch: 0, size: 0, root: EMPTY_ROOT };

/**
 * Demands that the log continues what this operator has seen, and remembers the newest head, which
 * is the answer. Throws `WitnessError`.
 */
export async function demandContinuation(
  context: CommandContext,
  vault: VaultClient,
): Promise<TreeHead> {
  const { after, failure } = await witnessed(context, vault);
  if (failure !== undefined) throw failure;
  // What this command decides, and others before it, is kept here as soon as the log has it.
  onLeaf(vault.path, () => keepDecisions(context, vault));
  const { contradicted } = after;
  if (contradicted !== undefined)
    outputOf(context, {}).note(`beware: ${contradiction(vault, after, contradicted).message}`);
  return after.newest.head;
}

/**
 * The same without throwing for what the witness says against the collector, for commands that show
 * or heal it.
 */
export async function witnessed(context: CommandContext, vault: VaultClient): Promise<Witnessed> {
  const { authorityKey, vaultId } = vault.descriptor;
  const authority: Authority = { authorityKey, vaultId };
  const collector = vault.certificate(authorityKey);
  const { stateFolder } = context.environment;
  const book =
    stateFolder === undefined
      ? undefined
      : new WitnessBook(context.files, stateFolder, authority, collector);
  let recall = book === undefined ? unreadable : await recalled(context, book);
  for (let attempt = 1; ; attempt++) {
    const { before } = recall;
    const shown = await shownLog(vault, [before?.newest.head ?? emptyHead], collector);
    const now: SeenHead = {
      head: shown.head,
      signed: shown.signed,
      seenAtMs: context.clock.nowMs(),
    };
    const failure = before && judge(vault, before, now, () => shown.prove(0, authority));
    const after = remembered(before, now, failure);
    if (book === undefined || !recall.readable || after === before)
      return { before, after, failure };
    // Other commands of this operator may have looked meanwhile: what they saw is neither forgotten
    // nor taken unproved.
    const fresh = await recalled(context, book);
    if (!fresh.readable) return { before, after, failure };
    const isSame = sameNewest(before, fresh.before);
    if (isSame || attempt >= MOST_ATTEMPTS) {
      const known =
        isSame || failure !== undefined
          ? remembered(fresh.before, now, failure)
          : (fresh.before ?? after);
      if (known !== fresh.before)
        await keep(context, () => book.write(known, vault.signedCertificate, collector));
      return { before, after: known, failure };
    }
    recall = fresh;
  }
}

/**
 * So often the log is asked again when other commands write into the same memory; after that,
 * theirs stands.
 */
const MOST_ATTEMPTS = 4;

function sameNewest(left: Witness | undefined, right: Witness | undefined): boolean {
  return left === undefined || right === undefined
    ? left === right
    : sameHead(left.newest.head, right.newest.head);
}

interface ShownLog {
  readonly head: TreeHead;
  readonly signed: SeenHead['signed'];
  /** Throws `LogError` and others unless the log continues the head asked for at this place. */
  prove(index: number, authority: Authority): void;
}

async function shownLog(
  vault: VaultClient,
  heads: readonly TreeHead[],
  collector: CollectorCertificateBody,
): Promise<ShownLog> {
  const answer = await vault.log.proofs(heads);
  const signed = decodeSigned(fromBase64(answer.head));
  const { head } = believed(() => verifyHead(signed, collector));
  return {
    head,
    signed,
    prove: (index, authority) => {
      const seen = heads[index];
      const proof = answer.proofs[index];
      if (seen === undefined || proof === undefined)
        throw new LogError('LOG_CONSISTENCY', 'the collector leaves out a proof');
      verifyContinuation(
        seen,
        {
          head,
          consistency: proof.consistency.map(fromBase64),
          openings: openingsFrom(answer, proof),
        },
        authority,
      );
    },
  };
}

function openingsFrom({ openings }: LogProofs, { firstOpening }: LogProofs['proofs'][number]) {
  return openings.slice(firstOpening).map(({ opening, leaf, inclusion }) => ({
    opening: decodeSigned(fromBase64(opening)),
    leaf: fromBase64(leaf),
    inclusion: inclusion.map(fromBase64),
  }));
}

function judge(
  vault: VaultClient,
  { newest }: Witness,
  now: SeenHead,
  prove: () => void,
): WitnessError | undefined {
  const { head } = now;
  const seen = newest.head;
  if (head.logEpoch < seen.logEpoch || (head.logEpoch === seen.logEpoch && head.size < seen.size)) {
    const says = `${where(vault)} shows ${headText(head)}, but ${when(newest)} it had signed ${headText(seen)}: it lost the end of its log, or hides it`;
    return new WitnessError(
      'WITNESS_ROLLED_BACK',
      `${says}; if its disk was put back to an older state, \`aliquot log reopen --kit KIT\` heals it`,
    );
  }
  try {
    prove();
    return undefined;
  } catch (cause) {
    if (!isDoubt(cause)) throw cause;
    return contradiction(vault, { newest, contradicted: now }, now, cause);
  }
}

function contradiction(
  vault: VaultClient,
  { newest }: Witness,
  other: SeenHead,
  cause?: unknown,
): WitnessError {
  const says = `${where(vault)} has told two histories: ${when(newest)} it had signed ${headText(newest.head)}, and ${when(other)} ${headText(other.head)}, which does not continue it`;
  const remedy =
    'both are kept as proof; ask who runs it. If its disk was put back to an older state, `aliquot log reopen --kit KIT` heals it';
  return new WitnessError(
    'WITNESS_FORKED',
    `${says}; ${remedy}`,
    cause === undefined ? {} : { cause },
  );
}

/**
 * A shorter log contradicts nothing that it still holds; two heads of which neither continues the
 * other are kept for good.
 */
function remembered(
  before: Witness | undefined,
  now: SeenHead,
  failure: WitnessError | undefined,
): Witness {
  if (before === undefined) return { newest: now, contradicted: undefined };
  if (failure?.code === 'WITNESS_FORKED')
    return before.contradicted === undefined ? { ...before, contradicted: now } : before;
  if (failure !== undefined || sameHead(before.newest.head, now.head)) return before;
  const { contradicted } = before;
  // An epoch that the authority opened since approves what came before it.
  const approved =
    contradicted !== undefined &&
    now.head.logEpoch > Math.max(before.newest.head.logEpoch, contradicted.head.logEpoch);
  return { newest: now, contradicted: approved ? undefined : contradicted };
}

interface Recall {
  readonly before: Witness | undefined;
  /** When it could not be read, nothing may be written over it. */
  readonly readable: boolean;
}

const unreadable: Recall = { before: undefined, readable: false };

async function recalled(context: CommandContext, book: WitnessBook): Promise<Recall> {
  try {
    return { before: await book.read(), readable: true };
  } catch (error) {
    if (!(error instanceof FileError)) throw error;
    const says = `what was seen of the log before cannot be read (${error.message}), so it is not compared, and nothing is written over it`;
    outputOf(context, {}).note(`${says}; mend that, or set ALIQUOT_STATE to another folder`);
    return unreadable;
  }
}

/**
 * A home that cannot be written must not stop a restore; it is said, because the next command will
 * remember nothing.
 */
async function keep(context: CommandContext, write: () => Promise<void>): Promise<void> {
  try {
    await write();
  } catch (error) {
    if (!(error instanceof FileError)) throw error;
    outputOf(context, {}).note(
      `the newest log head could not be kept (${error.message}); set ALIQUOT_STATE to a folder that can be written`,
    );
  }
}

/**
 * A head that somebody other than this operator was shown, as it stands in what that party signed
 * or was sent.
 */
export interface ForeignHead {
  readonly head: TreeHead;
  /** Who holds it, for the message: `agent hplc-1, commit 7`. */
  readonly holder: string;
}

/**
 * Those of the heads that the log shown to this operator does not continue: proof that others were
 * shown another one.
 */
export async function contradictedHeads(
  vault: VaultClient,
  heads: readonly ForeignHead[],
): Promise<WitnessError[]> {
  if (heads.length === 0) return [];
  const { authorityKey, vaultId } = vault.descriptor;
  const shown = await shownLog(
    vault,
    heads.map(({ head }) => head),
    vault.certificate(authorityKey),
  );
  return heads.flatMap(({ head, holder }, index) => {
    try {
      shown.prove(index, { authorityKey, vaultId });
      return [];
    } catch (cause) {
      if (!isDoubt(cause)) throw cause;
      const says = `${where(vault)} has told two histories: ${holder} holds ${headText(head)}, and this operator was shown ${headText(shown.head)}, which does not continue it`;
      return [
        new WitnessError(
          'WITNESS_FORKED',
          `${says}; keep the output as proof and ask who runs it`,
          { cause },
        ),
      ];
    }
  });
}

function isDoubt(cause: unknown): cause is AliquotError {
  return cause instanceof LogError || cause instanceof CertificateError;
}

/** Whatever does not hold in an answer is the collector's doing, and said so. */
function believed<T>(check: () => T): T {
  try {
    return check();
  } catch (cause) {
    if (!isDoubt(cause)) throw cause;
    throw new CommandError(
      'COMMAND_UNVERIFIED',
      `the log head that the collector sent does not verify: ${cause.message} (${cause.code})`,
      {
        cause,
      },
    );
  }
}

export function headText({ logEpoch, size, root }: TreeHead): string {
  return `a log of ${size} ${size === 1 ? 'leaf' : 'leaves'} (epoch ${logEpoch}, root ${hex(root).slice(0, 16)})`;
}

function where(vault: Pick<VaultClient, 'info' | 'collector'>): string {
  return `the collector at ${vault.collector.endpoint.url}`;
}

function when({ seenAtMs }: SeenHead): string {
  return `on ${formatInstant(seenAtMs)}`;
}

function sameHead(left: TreeHead, right: TreeHead): boolean {
  return (
    left.logEpoch === right.logEpoch &&
    left.size === right.size &&
    equalBytes(left.root, right.root)
  );
}
