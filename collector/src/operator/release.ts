import { join } from 'node:path';
import { formatBytes } from '@aliquot/shared/cli/format';
import type { Command } from 'commander';
import { piecesOf } from '../api/release-pieces.ts';
import { type CommandContext, outputOf } from '../cli/context.ts';
import { CollectorClient } from './client/collector-client.ts';
import {
  type CollectorOptions,
  endpointOf,
  withCollector,
  withExample,
  withJson,
  withNotes,
} from './options.ts';
import { readReleaseFolder } from './release-folder.ts';

type ReleaseOptions = CollectorOptions & { readonly json?: boolean };

export function registerRelease(program: Command, context: CommandContext): void {
  const release = program
    .command('release')
    .description('Releases of the agent that the collector keeps for the PCs.');
  withExample(release, 'aliquot release list');
  const add = release
    .command('add')
    .description(
      "Hand the collector a release, as the vendor's archive unpacks to a folder. No PC takes it before the policy names it.",
    )
    .argument('DIR', 'the folder with `metadata` and `targets`');
  withJson(withCollector(add));
  withNotes(
    add,
    "The collector believes nothing of it and proves nothing: each PC checks the vendor's signatures itself, and takes the version that its settings name (`update: {version: …}`), nothing else.",
    'Files that the collector has already are not sent again. Update the collector itself first: a PC takes no release that is newer than its collector.',
  );
  withExample(add, 'aliquot release add aliquot-release-0.2.0');
  add.action(async (dir: string, options: ReleaseOptions) => addRelease(context, dir, options));

  const list = release.command('list').description('The releases that the collector hands out.');
  withJson(withCollector(list));
  withExample(list, 'aliquot release list');
  list.action(async (options: ReleaseOptions) => listReleases(context, options));

  const remove = release
    .command('remove')
    .description('Take a release away. PCs that run it go on running it.')
    .argument('VERSION', 'as `aliquot release list` shows it');
  withJson(withCollector(remove));
  withExample(remove, 'aliquot release remove 0.2.0');
  remove.action(async (version: string, options: ReleaseOptions) =>
    removeRelease(context, version, options),
  );
}

async function addRelease(
  context: CommandContext,
  dir: string,
  options: ReleaseOptions,
): Promise<void> {
  const output = outputOf(context, options);
  const collector = await CollectorClient.connect(await endpointOf(context, options));
  const { files, releases, targetsHash } = await readReleaseFolder(context.files, dir);
  const kept = new Set(await collector.releaseFiles(files.map(({ sha256 }) => sha256)));
  const wanted = files.filter(({ sha256 }) => !kept.has(sha256));
  const totalBytes = wanted.reduce((sum, { size }) => sum + size, 0);
  const progress = output.progress('sent');
  let bytes = 0;
  for (const { name, sha256 } of wanted) {
    let offset = 0;
    for await (const piece of piecesOf(context.files, join(dir, name))) {
      await collector.sendReleasePart(sha256, offset, piece);
      offset += piece.length;
      bytes += piece.length;
      progress.update({ bytes, totalBytes, current: () => name });
    }
  }
  progress.done();
  const { versions } = await collector.publishRelease(files, targetsHash);
  const named = releases.map(({ version }) => version);
  const text =
    versions.length === 0
      ? `Nothing new: the collector has ${named.join(', ')} already. Its lists are the newest now.`
      : `The collector now hands out ${versions.join(', ')}. PCs take it when the policy names it: update: {version: ${versions.at(-1)}}`;
  await output.result({ event: 'released', versions, named, sentBytes: totalBytes }, text);
}

async function listReleases(context: CommandContext, options: ReleaseOptions): Promise<void> {
  const output = outputOf(context, options, 'reads');
  const collector = await CollectorClient.connect(await endpointOf(context, options));
  const { releases } = await collector.releases();
  if (releases.length === 0)
    await output.result(
      { event: 'releases', releases },
      'The collector has no releases; `aliquot release add DIR` hands it one.',
    );
  else if (output.json) await output.result({ event: 'releases', releases });
  for (const { version, platforms, bytes, whole, expires } of output.json ? [] : releases) {
    const missing = whole ? '' : '  NOT WHOLE: some of its files are missing, add it again';
    const until = `believed until ${expires.slice(0, 10)}`;
    await output.result(
      {},
      `${version.padEnd(10)}  ${formatBytes(bytes)}  ${until}  ${platforms.join(', ')}${missing}`,
    );
  }
}

async function removeRelease(
  context: CommandContext,
  version: string,
  options: ReleaseOptions,
): Promise<void> {
  const output = outputOf(context, options);
  const collector = await CollectorClient.connect(await endpointOf(context, options));
  await collector.removeRelease(version);
  await output.result(
    { event: 'removed', version },
    `Release ${version} is removed. PCs that run it go on running it.`,
  );
}
