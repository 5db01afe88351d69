import {
  asFileId,
  asLineageId,
  asPurgeId,
  type FileId,
  MAX_PURGED_FILES,
  type Platform,
} from '@aliquot/proto';
import { formatCounted, formatTime, pathText } from '@aliquot/shared/cli/format';
import { globMatcher } from '@aliquot/shared/cli/glob';
import { fromHex } from '@aliquot/shared/crypto/bytes';
import { issuePurgeOrder } from '@aliquot/shared/keys/purge';
import { fromBase64 } from '../../api/base64.ts';
import { CommandError } from '../../cli/command-error.ts';
import { type CommandContext, outputOf } from '../../cli/context.ts';
import { PURGE_DELAY_MS } from '../../retention/brakes.ts';
import { everyBranch } from '../agent-view.ts';
import { CollectorClient } from '../client/collector-client.ts';
import { type NameSource, nameSource } from '../names.ts';
import { provedVault } from '../open-vault.ts';
import { type ByOptions, openKeyFile } from '../operator-key.ts';
import { type CollectorOptions, endpointOf } from '../options.ts';
import { UnopenedList } from '../unopened.ts';
import { demandContinuation } from '../witness.ts';
import { nameOfPurge, reasonOf } from './find.ts';

export interface OrderOptions extends CollectorOptions, ByOptions {
  readonly agent: string;
  readonly path: string;
  readonly reason: string;
  readonly json?: boolean;
}

/**
 * `aliquot purge order`: looks which files fit, of every version that is there, and signs their
 * ids. The pattern stays here: it is what shall go.
 */
export async function orderPurge(context: CommandContext, options: OrderOptions): Promise<void> {
  const output = outputOf(context, options);
  const reason = reasonOf(options);
  const { descriptor, signKey, signedCertificate } = await openKeyFile(
    context,
    options,
    'retention',
  );
  const unopened = new UnopenedList();
  const source = await nameSource(
    context,
    { ...options, vault: options.vault ?? descriptor.name },
    unopened,
  );
  const collector = await CollectorClient.connect(await endpointOf(context, options));
  const vault = await provedVault(context, collector, descriptor);
  const head = await demandContinuation(context, vault);
  const { lineageId } = await vault.roster.history(options.agent);
  const { ids, versions } = await filesOf(source, lineageId, options.path);
  await unopened.show(output);
  if (ids.length === 0)
    throw new CommandError(
      'COMMAND_PURGE',
      `${options.agent} has no file and no folder result that --path ${options.path} fits: nothing was ordered`,
    );
  if (ids.length > MAX_PURGED_FILES)
    throw new CommandError(
      'COMMAND_PURGE',
      `--path ${options.path} fits ${formatCounted(ids.length, 'file')}, and one order names ${MAX_PURGED_FILES} at most: give several with narrower patterns`,
    );
  const purgeId = asPurgeId(context.random.bytes(16));
  const orderedAtMs = Math.floor(context.clock.nowMs());
  const order = issuePurgeOrder(signKey, {
    ...{ version: 1, vaultId: descriptor.vaultId, purgeId },
    lineageId: asLineageId(fromHex(lineageId) ?? new Uint8Array(0)),
    ...{ head, fileIds: ids, orderedAtMs, reason },
  });
  const leaf = await vault.purges.order(order, signedCertificate);
  const name = nameOfPurge({ purgeId });
  await output.result(
    { event: 'ordered', purge: name, files: ids.length, versions, leaf },
    `Purge ${name} of ${formatCounted(versions, 'version')} of ${formatCounted(ids.length, 'file')} is ordered; nothing is done yet. From ${formatTime(orderedAtMs + PURGE_DELAY_MS)} on another operator may approve it, and until then anybody with a key may cancel it. The log has it as leaf ${leaf}.`,
  );
}

/** The ids of what fits, rising, and of how many versions they are. */
async function filesOf(
  source: NameSource,
  lineageId: string,
  glob: string,
): Promise<{ readonly ids: readonly FileId[]; readonly versions: number }> {
  const matches = globMatcher(glob);
  const found = new Set<string>();
  let versions = 0;
  const take = (row: { path: string; platform: Platform }, id: string): void => {
    if (!matches(pathText(fromBase64(row.path)), row.platform)) return;
    found.add(id);
    versions += 1;
  };
  for (const view of everyBranch(await source.roster())) {
    if (view.lineageId !== lineageId) continue;
    for await (const row of source.everyVersion(view)) take(row, row.fileId);
    for await (const line of source.results(view, undefined)) take(line, line.resultId);
  }
  const ids = [...found].sort().map((id) => asFileId(fromHex(id) ?? new Uint8Array(0)));
  return { ids, versions };
}
