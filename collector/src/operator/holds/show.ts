import { type HoldBody, MAX_TIME_MS } from '@aliquot/proto';
import { formatInstant, formatTable, formatTime, printable } from '@aliquot/shared/cli/format';
import { hex } from '@aliquot/shared/crypto/bytes';
import { openHoldPaths } from '@aliquot/shared/keys/hold';
import { type CommandContext, outputOf } from '../../cli/context.ts';
import { inspectedVault } from '../choose-vault.ts';
import { openKitFile } from '../kit-file.ts';
import type { CollectorOptions, KitOptions } from '../options.ts';
import { byOf, holdCalled, holdsOf, type ShownHold } from './find.ts';

export interface ShowOptions extends CollectorOptions, KitOptions {
  readonly json?: boolean;
}

/** `aliquot hold list`. */
export async function listHolds(
  context: CommandContext,
  options: ShowOptions & { readonly all?: boolean },
): Promise<void> {
  const output = outputOf(context, options, 'reads');
  const vault = await inspectedVault(context, options);
  const holds = (await holdsOf(vault)).filter(
    ({ released }) => options.all === true || released === undefined,
  );
  if (output.json) {
    for (const hold of holds) await output.result(jsonOf(hold, vault.info.blind));
    return;
  }
  const rows = holds.map((hold) => [
    hold.body.name,
    hold.released === undefined ? 'in force' : `released ${formatTime(hold.released.atMs)}`,
    formatTime(hold.setAtMs),
    printable(hold.body.owner),
    coverOf(hold, vault.info.blind),
    printable(hold.body.reason),
  ]);
  const table = formatTable(['NAME', 'STATE', 'SINCE', 'OWNER', 'COVERS', 'REASON'], rows);
  await output.result({}, holds.length === 0 ? 'Nothing is under a hold.' : table);
}

/** `aliquot hold show`. */
export async function showHold(
  context: CommandContext,
  name: string,
  options: ShowOptions,
): Promise<void> {
  const output = outputOf(context, options, 'reads');
  const vault = await inspectedVault(context, options);
  const shown = await holdCalled(vault, name);
  const { body, globs } = shown;
  const hold =
    body.paths === undefined || globs !== undefined || options.kit === undefined
      ? shown
      : { ...shown, globs: await opened(context, options, body) };
  await output.result(jsonOf(hold, vault.info.blind), textOf(hold, vault.info.blind));
}

async function opened(
  context: CommandContext,
  options: ShowOptions,
  body: HoldBody,
): Promise<string[] | undefined> {
  const { catalogKey } = await openKitFile(context, options);
  const globs = openHoldPaths(catalogKey, body);
  return globs && [...globs];
}

/** Whether it covers files by their names already, and not its PCs whole. */
function isResolved({ body, resolved }: ShownHold, blind: boolean): boolean {
  return body.paths === undefined || !blind || resolved !== undefined;
}

function jsonOf(hold: ShownHold, blind: boolean): object {
  const { body, leaf, setAtMs, globs, released } = hold;
  return {
    hold: body.name,
    id: hex(body.holdId),
    state: released === undefined ? 'in-force' : 'released',
    ...{ reason: body.reason, owner: body.owner, since: formatInstant(setAtMs), leaf },
    ...{ agents: body.agents, classes: body.classes },
    byPath: body.paths !== undefined,
    paths: globs ?? null,
    from: body.fromMs === 0 ? null : formatInstant(body.fromMs),
    to: body.toMs === MAX_TIME_MS ? null : formatInstant(body.toMs),
    resolved: isResolved(hold, blind),
    released:
      released === undefined
        ? null
        : {
            at: formatInstant(released.atMs),
            by: byOf(released),
            reason: released.reason,
            leaf: released.leaf,
          },
  };
}

function coverOf(hold: ShownHold, blind: boolean): string {
  const { body, globs } = hold;
  const paths = body.paths === undefined ? [] : [globs?.join(' ') ?? 'by path'];
  const parts = [
    body.agents.length === 0 ? 'all PCs' : body.agents.join(' '),
    ...body.classes.map((one) => `class ${one}`),
    ...paths.map(printable),
    ...(isResolved(hold, blind) ? [] : ['(whole, until it is resolved)']),
    ...timesOf(body),
  ];
  return parts.join(' · ');
}

function timesOf({ fromMs, toMs }: HoldBody): string[] {
  return [
    ...(fromMs === 0 ? [] : [`from ${formatTime(fromMs)}`]),
    ...(toMs === MAX_TIME_MS ? [] : [`to ${formatTime(toMs)}`]),
  ];
}

function textOf(hold: ShownHold, blind: boolean): string {
  const { body, leaf, setAtMs, globs, released } = hold;
  const any = (words: readonly string[]): string =>
    words.length === 0 ? 'any' : words.map(printable).join(', ');
  const sealed = 'sealed: give the kit to see them';
  const lines: [string, string][] = [
    ['hold', body.name],
    ['reason', printable(body.reason)],
    ['owner', printable(body.owner)],
    ['since', `${formatTime(setAtMs)}, leaf ${leaf} of the log`],
    ['PCs', any(body.agents)],
    ['paths', body.paths === undefined ? 'any' : globs === undefined ? sealed : any(globs)],
    ['classes', any(body.classes)],
    ['times', timesOf(body).join(' ') || 'any'],
  ];
  if (!isResolved(hold, blind))
    lines.push(['covers', `its PCs whole, until \`aliquot hold resolve ${body.name} --kit KIT\``]);
  if (released !== undefined)
    lines.push([
      'released',
      `${formatTime(released.atMs)} by ${byOf(released)}, leaf ${released.leaf}: ${printable(released.reason)}`,
    ]);
  return lines.map(([word, text]) => `${word.padEnd(10)}${text}`).join('\n');
}
