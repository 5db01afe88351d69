import {
  encodeStoredPurged,
  type FileId,
  MAX_PURGE_BYTES,
  type StateRecord,
  type StoredPurged,
} from '@aliquot/proto';
import { formatCounted, formatTime, pathText, printable } from '@aliquot/shared/cli/format';
import type { VerifiedCommit } from '@aliquot/shared/commit/commit';
import { openCommitKeys } from '@aliquot/shared/commit/keys';
import { openNames, openResults } from '@aliquot/shared/commit/open-names';
import { purgedCommit } from '@aliquot/shared/commit/purge';
import { bitsOf, mapKey } from '@aliquot/shared/crypto/bytes';
import { equalBytes, sha256 } from '@aliquot/shared/crypto/primitives';
import { verifyAgent } from '@aliquot/shared/keys/certificates';
import { issuePurgeApproval } from '@aliquot/shared/keys/purge';
import { CommandError } from '../../cli/command-error.ts';
import { type CommandContext, outputOf } from '../../cli/context.ts';
import { evidence, unverified } from '../evidence.ts';
import { openVault, readerOf } from '../open-vault.ts';
import { type ByOptions, openKeyFile } from '../operator-key.ts';
import type { CollectorOptions } from '../options.ts';
import { type EvidenceReader, verifyRecord } from '../verified.ts';
import { type ShownPurge, waitingPurge } from './find.ts';

export interface ApproveOptions extends CollectorOptions, ByOptions {
  readonly json?: boolean;
}

/** A commit of which something goes, proved. */
interface ProvedCommit {
  readonly record: StateRecord;
  readonly commit: VerifiedCommit;
  readonly leafIndex: number;
  readonly slots: ReadonlySet<number>;
}

/** Paths that are told before it is signed. */
const MOST_PATHS = 20;

/**
 * `aliquot purge approve`: fetches the commits that the order is about, proves and opens them with
 * the kit, seals their blocks anew without what goes, and signs for exactly these.
 */
export async function approvePurge(
  context: CommandContext,
  id: string,
  options: ApproveOptions,
): Promise<void> {
  const output = outputOf(context, options);
  const operator = await openKeyFile(context, options, 'retention');
  const proved = await openVault(context, options);
  const { vault } = proved;
  const purge = await waitingPurge(vault, id);
  const { name, body, ordered, notBeforeMs } = purge;
  if (ordered.by === operator.certificate.name)
    throw new CommandError(
      'COMMAND_PURGE',
      `purge ${name} was ordered by ${ordered.by}: another operator approves it`,
    );
  if (context.clock.nowMs() < notBeforeMs)
    throw new CommandError(
      'COMMAND_PURGE',
      `purge ${name} was ordered on ${formatTime(ordered.atMs)}: it may be approved from ${formatTime(notBeforeMs)}`,
    );
  const reader = await readerOf(proved);
  const slabs = new Set<string>();
  const commits: ProvedCommit[] = [];
  for await (const record of vault.purges.commits(body.purgeId))
    commits.push(provedCommit(record, reader, purge, slabs));
  const versions = commits.reduce((sum, { slots }) => sum + slots.size, 0);
  const paths = pathsOf(commits, reader);
  for (const path of paths.slice(0, MOST_PATHS)) output.note(`goes: ${printable(path)}`);
  if (paths.length > MOST_PATHS) output.note(`and ${paths.length - MOST_PATHS} more`);
  const forms = commits.map((one, part) => formOf(context, one, { part, slabs, reader, purge }));
  const bytes = forms.map(encodeStoredPurged);
  if (bytes.reduce((sum, { length }) => sum + length, 0) > MAX_PURGE_BYTES)
    throw new CommandError(
      'COMMAND_PURGE',
      `purge ${name} is about commits of more than ${MAX_PURGE_BYTES} bytes: cancel it, and order several with narrower patterns`,
    );
  const { vaultId, purgeId } = body;
  const approvedAtMs = Math.floor(context.clock.nowMs());
  const said = { version: 1, vaultId, purgeId, sum: sha256(...bytes), approvedAtMs } as const;
  const approval = issuePurgeApproval(operator.signKey, said);
  const leaf = await vault.purges.approve(approval, operator.signedCertificate, bytes);
  await output.result(
    { event: 'approved', purge: name, commits: commits.length, versions, leaf },
    `Purge ${name} is approved: ${formatCounted(versions, 'version')} of ${formatCounted(body.fileIds.length, 'file')} are gone from every answer, and no key opens their names or content any more. What the collector still keeps of them \`aliquot purge list\` tells. The log has it as leaf ${leaf}. The PC keeps its own file and its own record of it: see docs/retention.md.`,
  );
}

/** Throws `COMMAND_UNVERIFIED` unless the commit holds and only what was ordered would go. */
function provedCommit(
  record: StateRecord,
  reader: EvidenceReader,
  { body }: ShownPurge,
  slabs: Set<string>,
): ProvedCommit {
  const { kit } = reader;
  const { enrolment } = evidence(() =>
    verifyAgent(
      ...[kit.authority.publicKey, kit.descriptor.vaultId],
      ...[record.enrolment, record.binding],
    ),
  );
  const { name, agentId, lineageId } = enrolment;
  let leafIndex = 0;
  const { commit } = verifyRecord(
    record,
    reader,
    { name, agentId, lineageId, enrolment },
    { onUnopened: () => undefined, onRecord: (found) => (leafIndex = found.leafIndex) },
  );
  const ids = new Set(body.fileIds.map(mapKey));
  const slots = new Set(record.live);
  const isOrdered = (id: Uint8Array): boolean =>
    ids.has(mapKey(id)) && equalBytes(lineageId, body.lineageId) && leafIndex < body.head.size;
  for (const slot of slots) {
    const { rows } = commit;
    const row = rows.asSigned.entry(slot);
    const rowId: FileId | Uint8Array | undefined =
      row?.fileId ?? rows.asSigned.result(slot)?.resultId;
    if (rowId === undefined || !isOrdered(rowId))
      throw unverified('the collector would have versions purged that nobody has ordered');
    const slab = row !== undefined && row.content.piece > 0 ? row.content.refs[0] : undefined;
    if (slab !== undefined) slabs.add(mapKey(slab.id));
  }
  return { record, commit, leafIndex, slots };
}

/** What goes, by its paths. Of what does not open nothing can be told, and it goes as well. */
function pathsOf(commits: readonly ProvedCommit[], { kit }: EvidenceReader): string[] {
  const paths = new Set<string>();
  const key = { key: kit.vaultKey, recipient: 'vault' } as const;
  const unopened = (): void => undefined;
  for (const { commit, slots } of commits) {
    const wanted = [...slots].map((slot) => ({ slot }));
    for (const { list } of openNames(commit, wanted, key, unopened)) paths.add(pathText(list.path));
    for (const { list } of openResults(commit, wanted, key, unopened))
      paths.add(pathText(list.path));
  }
  return [...paths].sort();
}

/** The commit sealed anew. Error: `COMMAND_PURGE`, where it does not open with this kit. */
function formOf(
  { random }: CommandContext,
  { record, commit, leafIndex, slots }: ProvedCommit,
  what: {
    readonly part: number;
    readonly slabs: ReadonlySet<string>;
    readonly reader: EvidenceReader;
    readonly purge: ShownPurge;
  },
): StoredPurged {
  const { part, slabs, reader, purge } = what;
  const { header, wraps, rows } = commit;
  const { listKey, readKey } = openCommitKeys(wraps, reader.kit.vaultKey, 'vault', header);
  if (listKey === undefined || readKey === undefined)
    throw unverified(`commit ${header.sequence} does not open with this kit`);
  const purged = purgedCommit(
    record.commit,
    { rows },
    { listKey, readKey },
    { slots, opensPurged: (slabId) => slabs.has(mapKey(slabId)) },
    random,
  );
  if (purged === undefined)
    throw unverified('the collector names a commit of which nothing is to go');
  return { purgeId: purge.body.purgeId, part, leafIndex, slots: bitsOf(slots), commit: purged };
}
