import { fromHex, hex } from '@aliquot/shared/crypto/bytes';
import {
  keptFiles,
  publishRequest,
  type ReleaseList,
  releasePartQuery,
  removeReleaseRequest,
} from '../api/release-messages.ts';
import type { RestContext } from './context.ts';

/** The releases that this collector hands out. */
export async function releasesAnswer({ store }: RestContext): Promise<ReleaseList> {
  const list = await store.releases.list();
  return {
    releases: list.map(({ version, platforms, bytes, whole, expires }) => ({
      version,
      platforms: [...platforms],
      bytes,
      whole,
      expires,
    })),
  };
}

/** Which of the asked files, by their hashes, need not be sent. */
export async function keptFilesAnswer(
  { store }: RestContext,
  body: unknown,
): Promise<{ hashes: string[] }> {
  return { hashes: await store.releases.kept(keptFiles.parse(body).hashes) };
}

/** A part of a file that `publishRelease` will name by its hash. */
export async function takeReleasePart(
  { store }: RestContext,
  query: unknown,
  bytes: Uint8Array,
): Promise<{ size: number }> {
  const { sha256, offset } = releasePartQuery.parse(query);
  return { size: await store.releases.putPart(sha256, offset, bytes) };
}

/** Gives what arrived its names, and records in every vault's log which versions came. */
export async function publishRelease(
  context: RestContext,
  body: unknown,
): Promise<{ versions: string[] }> {
  const { files, targetsHash } = publishRequest.parse(body);
  const versions = await context.store.releases.publish(files);
  for (const version of versions) {
    const timeMs = context.clock.nowMs();
    const event = {
      type: 'releaseAdded',
      timeMs,
      version,
      targetsHash: fromHex(targetsHash) ?? new Uint8Array(0),
    } as const;
    for (const vault of context.store.vaults()) await vault.events.append(event);
    context.log.info({ version, targetsHash }, 'release added');
  }
  return { versions };
}

/** Takes a release off the shelf. */
export async function removeRelease(
  context: RestContext,
  body: unknown,
): Promise<Record<string, never>> {
  const { version } = removeReleaseRequest.parse(body);
  await context.store.releases.remove(version);
  for (const vault of context.store.vaults())
    await vault.events.append({ type: 'releaseRemoved', timeMs: context.clock.nowMs(), version });
  context.log.info(
    { version, vaults: context.store.vaults().map(({ descriptor }) => hex(descriptor.vaultId)) },
    'release removed',
  );
  return {};
}
