import {
  asFileId,
  type FileId,
  type HoldResolutionBody,
  MAX_HELD_FILES,
  MAX_HOLD_PARTS,
  type Platform,
} from '@aliquot/proto';
import { formatCount, formatCounted } from '@aliquot/shared/cli/format';
import { fromHex, hex } from '@aliquot/shared/crypto/bytes';
import { issueHoldResolution, openHoldPaths } from '@aliquot/shared/keys/hold';
import { fromBase64 } from '../../api/base64.ts';
import { CommandError } from '../../cli/command-error.ts';
import { type CommandContext, outputOf } from '../../cli/context.ts';
import { type HoldMatcher, holdMatcher } from '../../retention/holds.ts';
import { everyBranch } from '../agent-view.ts';
import { kitNames, type NameSource } from '../names.ts';
import { openVault } from '../open-vault.ts';
import type { CollectorOptions, KitOptions } from '../options.ts';
import { UnopenedList } from '../unopened.ts';
import { demandContinuation } from '../witness.ts';
import { holdInForce, type ShownHold } from './find.ts';

export interface ResolveOptions extends CollectorOptions, KitOptions {
  readonly json?: boolean;
}

/**
 * `aliquot hold resolve`: looks at the name of every version that the log has, and signs which
 * files fit. Of what does not open nobody can say it, so then the hold stays as it is.
 */
export async function resolveHold(
  context: CommandContext,
  name: string,
  options: ResolveOptions,
): Promise<void> {
  const output = outputOf(context, options);
  const { kit, vault } = await openVault(context, options);
  const hold = await holdInForce(vault, name);
  const { body } = hold;
  if (body.paths === undefined)
    throw new CommandError(
      'COMMAND_HOLD',
      `hold ${name} names no paths: there is nothing to resolve`,
    );
  if (!vault.info.blind)
    throw new CommandError(
      'COMMAND_HOLD',
      `vault ${vault.info.name} is not blind: its collector opens names itself, so hold ${name} covers what its paths fit`,
    );
  const globs = openHoldPaths(kit.catalogKey, body);
  if (globs === undefined)
    throw new CommandError(
      'COMMAND_HOLD',
      `the paths of hold ${name} do not open with this kit, so it goes on covering its PCs whole; set another one and release it`,
    );
  const head = await demandContinuation(context, vault);
  const unopened = new UnopenedList();
  const ids = await filesOf(
    kitNames(context, vault, { kit, head }, unopened),
    hold,
    holdMatcher(globs),
  );
  await unopened.show(output);
  if (unopened.isAny)
    throw new CommandError(
      'COMMAND_HOLD',
      `what is named above does not open, so nobody can say whether hold ${name} is for it; it goes on covering its PCs whole`,
    );
  const parts = partsOf(ids);
  if (parts.length > MAX_HOLD_PARTS)
    throw new CommandError(
      'COMMAND_HOLD',
      `hold ${name} is for ${formatCount(ids.length)} files, more than can be named; it goes on covering its PCs whole`,
    );
  const { vaultId, holdId } = body;
  const leaf = await vault.holds.resolve(
    parts.map((fileIds, at) => {
      const said: HoldResolutionBody = {
        ...{ version: 1, vaultId, holdId, head },
        ...{ part: at + 1, parts: parts.length, fileIds },
      };
      return issueHoldResolution(kit.authority, said);
    }),
  );
  await output.result(
    { event: 'resolved', hold: name, files: ids.length, leaf },
    `Hold ${name} covers ${formatCounted(ids.length, 'file')} now, and whatever comes under names that nobody has looked at. The log has it up to leaf ${leaf}.`,
  );
}

/** Which files and results of its PCs fit; in the order of their ids. */
async function filesOf(
  source: NameSource,
  { body }: ShownHold,
  matcher: HoldMatcher,
): Promise<FileId[]> {
  const lineages = new Set(body.lineageIds.map(hex));
  const found = new Set<string>();
  const fits = (row: { path: string; platform: Platform }, isResult: boolean): boolean =>
    matcher.fits({ path: fromBase64(row.path), platform: row.platform }, isResult);
  for (const view of everyBranch(await source.roster())) {
    if (body.agents.length > 0 && !lineages.has(view.lineageId)) continue;
    for await (const row of source.everyVersion(view)) if (fits(row, false)) found.add(row.fileId);
    for await (const line of source.results(view, undefined))
      if (fits(line, true)) found.add(line.resultId);
  }
  return [...found].sort().map((id) => asFileId(fromHex(id) ?? new Uint8Array(0)));
}

/** One part at least: that no file fits is a word too. */
function partsOf(ids: readonly FileId[]): (readonly FileId[])[] {
  const parts: (readonly FileId[])[] = [];
  for (let from = 0; from < Math.max(ids.length, 1); from += MAX_HELD_FILES)
    parts.push(ids.slice(from, from + MAX_HELD_FILES));
  return parts;
}
