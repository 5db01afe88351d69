import { isReleaseVersion, MAX_RELEASE_FILE_BYTES } from '@aliquot/proto';
import { z } from 'zod';

/**
 * Platforms that releases are made for, as Node names them: `process.platform` (Windows is `win`)
 * and `process.arch`.
 */
export const releasePlatforms = [
  'win-x64',
  'linux-x64',
  'linux-arm64',
  'darwin-x64',
  'darwin-arm64',
] as const;
export type ReleasePlatform = (typeof releasePlatforms)[number];

const version = z.string().refine(isReleaseVersion, 'is no version');
const bytes = z.int().min(1).max(MAX_RELEASE_FILE_BYTES);
const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
/**
 * A file's name comes to stand in a path, at the collector before anybody has verified the list:
 * nothing but what `npm run release` makes.
 */
const targetName = z
  .string()
  .max(128)
  .regex(/^(program|node)-[0-9A-Za-z.+-]+\.tar\.zst$/);

/**
 * What the vendor says about one file of a release, in TUF's `custom` member: a version's program,
 * or a Node for it.
 */
export const releasePart = z.discriminatedUnion('part', [
  z.object({
    part: z.literal('program'),
    platform: z.enum(releasePlatforms),
    version,
    /** Bytes of everything in it, unpacked. */
    unpackedBytes: bytes,
    /**
     * The Node that it runs on: the file of the release that brings it, and what its program must
     * be, unpacked.
     */
    node: z.object({ target: targetName, file: z.enum(['node', 'node.exe']), bytes, sha256 }),
  }),
  z.object({
    part: z.literal('node'),
    platform: z.enum(releasePlatforms),
    version,
    unpackedBytes: bytes,
  }),
]);
export type ReleasePart = z.infer<typeof releasePart>;
/** Seam: what an agent stages. */
export type ProgramPart = Extract<ReleasePart, { part: 'program' }>;

const target = z.object({ length: bytes, hashes: z.object({ sha256 }), custom: releasePart });
const metadataFile = z.object({ version: z.int().min(1) });

/**
 * The vendor's list of files (TUF's targets), as far as it is about releases. Says nothing about
 * who signed it.
 */
export const targetsMetadata = z.object({
  signed: z.object({
    version: z.int().min(1),
    expires: z.string(),
    targets: z.record(targetName, target),
  }),
});

/** Which list of files is the newest (TUF's snapshot and timestamp), unverified. */
export const snapshotMetadata = z.object({
  signed: z.object({ meta: z.object({ 'targets.json': metadataFile }) }),
});
export const timestampMetadata = z.object({
  signed: z.object({ expires: z.string(), meta: z.object({ 'snapshot.json': metadataFile }) }),
});

/** The file in which a release keeps a target: TUF's consistent snapshots put the hash in front. */
export function targetFile(name: string, hash: string): string {
  return `targets/${hash}.${name}`;
}

/** The name of a program's target. */
export function programTarget(version: string, platform: ReleasePlatform): string {
  return `program-${version}-${platform}.tar.zst`;
}

/** The name of a Node's target. */
export function nodeTarget(version: string, platform: ReleasePlatform): string {
  return `node-${version}-${platform}.tar.zst`;
}
