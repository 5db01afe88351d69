import { asFileId, type FileId, MAX_GONE_FILES } from '@aliquot/proto';
import { formatBytes, formatCount, printable } from '@aliquot/shared/cli/format';
import { didYouMean } from '@aliquot/shared/cli/nearest';
import { isOnePath } from '@aliquot/shared/cli/path-set';
import { fromHex } from '@aliquot/shared/crypto/bytes';
import type { AgentInfo } from '../api/messages.ts';
import { CommandError } from '../cli/command-error.ts';
import { type CommandContext, outputOf } from '../cli/context.ts';
import { nameSource } from './names.ts';
import type { CollectorOptions, KitOptions } from './options.ts';
import { PathGuess } from './path-guess.ts';
import { wantedPaths } from './path-options.ts';
import { nameOf, pathJson, pathOf } from './paths.ts';
import { UnopenedList } from './unopened.ts';

/** The arguments of `agent gone`. */
export interface GoneOptions extends CollectorOptions, KitOptions {
  readonly path: string;
  readonly yes?: boolean;
  readonly json?: boolean;
}

/** `agent gone`: lists the files that are meant and, with `--yes`, says that they are gone. */
export async function goneCommand(
  context: CommandContext,
  name: string,
  options: GoneOptions,
): Promise<void> {
  const output = outputOf(context, options);
  const wanted = await wantedPaths(context, options);
  const unopened = new UnopenedList();
  const source = await nameSource(context, options, unopened);
  const info = await source.vault.roster.agent(name);
  const enrolledAtMs = requireReplacement(info, name);
  const found: FileId[] = [];
  let files = 0;
  let bytes = 0;
  let met = false;
  const guess = isOnePath(options.path) ? new PathGuess(options.path) : undefined;
  for await (const row of wanted.of(
    () => source.state(info, undefined),
    nameOf,
    (path) => guess?.consider(path),
  )) {
    met = true;
    if (row.receivedAtMs > enrolledAtMs) continue;
    found.push(asFileId(fromHex(row.fileId) ?? new Uint8Array(0)));
    if (row.kind === 'file') files += 1;
    bytes += row.size;
    await output.result(
      { event: 'file', ...pathJson(row), kind: row.kind, size: row.size },
      printable(pathOf(row)),
    );
  }
  if (!met) {
    await unopened.tell(output);
    const hint = didYouMean(guess?.best) || `; see \`aliquot ls --agent ${info.name}\``;
    throw new CommandError(
      'COMMAND_NO_SUCH_FILE',
      `no path of agent ${info.name} that is there now matches ${options.path}${hint}`,
    );
  }
  if (found.length > 0 && options.yes === true) {
    requireScan(info);
    for (let at = 0; at < found.length; at += MAX_GONE_FILES)
      await source.vault.roster.filesGone(info.agentId, found.slice(at, at + MAX_GONE_FILES));
  }
  const what = `${formatCount(files)} ${files === 1 ? 'file' : 'files'} (${formatBytes(bytes)}) that ${info.name} has not captured since it was enrolled`;
  const said = `${what}: gone from now on; \`aliquot ls --agent ${info.name} --at TIME\` shows them as they were.`;
  const way = `${what}. To say that they are gone, give --yes.`;
  const nothing = `${info.name} has captured all that matches itself; its own scans say what of it is gone.`;
  await output.result(
    {
      event: 'gone',
      agent: info.name,
      agentId: info.agentId,
      files,
      entries: found.length,
      recorded: found.length > 0 && options.yes === true,
    },
    found.length === 0 ? nothing : options.yes === true ? said : way,
  );
  await unopened.tell(output);
}

function requireReplacement({ state, enrolledAtMs }: AgentInfo, name: string): number {
  if (state === 'enrolled' && enrolledAtMs !== undefined) return enrolledAtMs;
  throw new CommandError(
    'COMMAND_AGENT',
    `agent ${name} is ${state}; name the enrolled agent that took the old PC's place`,
  );
}

/** What it has not captured is not found only once it has looked, and has sent what it found. */
function requireScan({ name, heartbeat }: AgentInfo): void {
  if (heartbeat === undefined)
    throw new CommandError(
      'COMMAND_AGENT',
      `${name} has not told of a finished scan yet, so nobody knows what it finds; wait for it`,
    );
  const left = heartbeat.queuedEntries + heartbeat.pending;
  if (left > 0)
    throw new CommandError(
      'COMMAND_AGENT',
      `${name} has ${formatCount(left)} results that are not here yet; wait until they are`,
    );
}
