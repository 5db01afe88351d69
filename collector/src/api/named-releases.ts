import { jsonOf } from '@aliquot/shared/json';
import {
  type ReleasePart,
  type ReleasePlatform,
  snapshotMetadata,
  targetFile,
  targetsMetadata,
  timestampMetadata,
} from '@aliquot/shared/release/targets';
import type { z } from 'zod';

/**
 * Says which list of the vendor is the newest; the only file of a release that is ever replaced.
 */
export const TIMESTAMP_FILE = 'metadata/timestamp.json';

/** A file of a release by its name on the shelf. */
export interface NamedFile {
  readonly name: string;
  readonly size: number;
  /** In hexadecimal. */
  readonly sha256: string;
}

/** A release as the vendor's newest list names it, unverified. */
export interface NamedRelease {
  readonly version: string;
  readonly platforms: readonly ReleasePlatform[];
  /** Its programs, and each Node that one of them runs on. */
  readonly files: readonly (NamedFile & { readonly part: ReleasePart['part'] })[];
  /** When PCs stop believing the list. */
  readonly expires: string;
}

/**
 * Reads which releases a set of files is about, through the newest lists; none where a list is
 * absent or no list.
 */
export async function namedReleases(
  read: (name: string) => Promise<Uint8Array | undefined>,
): Promise<NamedRelease[]> {
  const json = async <Schema extends z.ZodType>(
    name: string,
    schema: Schema,
  ): Promise<z.infer<Schema> | undefined> => {
    const bytes = await read(name);
    return bytes === undefined ? undefined : schema.safeParse(jsonOf(bytes)).data;
  };
  const timestamp = await json(TIMESTAMP_FILE, timestampMetadata);
  if (timestamp === undefined) return [];
  const snapshot = await json(
    `metadata/${timestamp.signed.meta['snapshot.json'].version}.snapshot.json`,
    snapshotMetadata,
  );
  if (snapshot === undefined) return [];
  const list = await json(
    `metadata/${snapshot.signed.meta['targets.json'].version}.targets.json`,
    targetsMetadata,
  );
  if (list === undefined) return [];
  const { targets } = list.signed;
  const fileOf = (name: string) => {
    const target = targets[name];
    if (target === undefined) return undefined;
    const sha256 = target.hashes.sha256;
    return {
      name: targetFile(name, sha256),
      size: target.length,
      sha256,
      part: target.custom.part,
    };
  };
  const versions = new Map<
    string,
    { platforms: Set<ReleasePlatform>; files: Map<string, NamedRelease['files'][number]> }
  >();
  for (const [name, { custom }] of Object.entries(targets)) {
    if (custom.part !== 'program') continue;
    const release = versions.get(custom.version) ?? { platforms: new Set(), files: new Map() };
    release.platforms.add(custom.platform);
    for (const file of [fileOf(name), fileOf(custom.node.target)])
      if (file !== undefined) release.files.set(file.name, file);
    versions.set(custom.version, release);
  }
  return [...versions].map(([version, { platforms, files }]) => ({
    version,
    platforms: [...platforms].sort(),
    files: [...files.values()],
    expires: timestamp.signed.expires,
  }));
}
