import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { constants, gunzipSync, zstdCompressSync } from 'node:zlib';
import type { VendorTarget } from '@aliquot/shared/release/repository';
import {
  nodeTarget,
  programTarget,
  type ReleasePart,
  type ReleasePlatform,
  releasePlatforms,
} from '@aliquot/shared/release/targets';
import { readTar, writeTar } from '../package/tar.ts';
import { file, type Tree, type TreeFile } from '../package/tree.ts';
import { readZip } from './zip.ts';

/** A target with its bytes. */
export interface MadeTarget extends VendorTarget {
  readonly bytes: Buffer;
}

/**
 * Tight, because a release is packed once and fetched by every PC; PCs unpack it in a second
 * whatever the level.
 */
const ZSTD_LEVEL = 19;
/** The same bytes whenever it is made: times of files mean nothing here. */
const SECONDS = 0;

/** The agent's archives in a folder that `npm run package` filled. Throws when there are none. */
export function agentArchives(dir: string): readonly {
  readonly version: string;
  readonly platform: ReleasePlatform;
  readonly path: string;
}[] {
  const found = readdirSync(dir).flatMap((name) => {
    const match =
      /^aliquot-agent-(\d+\.\d+\.\d+(?:-[0-9a-z.]+)?)-((?:win|linux|darwin)-(?:x64|arm64))\.(?:tar\.gz|zip)$/.exec(
        name,
      );
    const platform = releasePlatforms.find((known) => known === match?.[2]);
    return match?.[1] === undefined || platform === undefined
      ? []
      : [{ version: match[1], platform, path: join(dir, name) }];
  });
  if (found.length === 0)
    throw new Error(
      `${dir} has no aliquot-agent-VERSION-PLATFORM archive; npm run package makes them`,
    );
  return found;
}

/**
 * The two parts of a version for one platform: the program with its addons, and the Node that it
 * runs on.
 */
export function partsOf(
  version: string,
  platform: ReleasePlatform,
  path: string,
): { readonly program: MadeTarget; readonly node: MadeTarget } {
  const within = `/versions/${version}/`;
  const files = readArchiveFile(path).flatMap((entry) => {
    const at = entry.path.indexOf(within);
    return at < 0 ? [] : [{ ...entry, path: entry.path.slice(at + within.length) }];
  });
  const node = files.find((entry) => entry.path === 'node' || entry.path === 'node.exe');
  if (node === undefined)
    throw new Error(`${path} has no ${within}node: it is no folder install of ${version}`);
  const nodeName = nodeTarget(nodeVersionOf(files, path), platform);
  const program = files.filter((entry) => entry !== node);
  return {
    program: made(programTarget(version, platform), program, {
      part: 'program',
      platform,
      version,
      unpackedBytes: sizeOf(program),
      node: {
        target: nodeName,
        file: node.path === 'node' ? 'node' : 'node.exe',
        bytes: node.bytes.length,
        sha256: createHash('sha256').update(node.bytes).digest('hex'),
      },
    }),
    node: made(nodeName, [node], {
      part: 'node',
      platform,
      version: nodeVersionOf(files, path),
      unpackedBytes: node.bytes.length,
    }),
  };
}

function readArchiveFile(path: string): Tree {
  const bytes = readFileSync(path);
  if (path.endsWith('.zip')) return readZip(bytes);
  return [...readTar(gunzipSync(bytes))].map(([name, content]) =>
    file(name, content, isProgram(name)),
  );
}

/** npm's reader of tar archives tells no modes: what is started by name is known. */
function isProgram(path: string): boolean {
  return /\/(node|launcher)$/.test(path);
}

/** The list of parts of a version says which Node it runs on. */
function nodeVersionOf(files: Tree, path: string): string {
  const list = files.find((entry) => entry.path === 'sbom.json');
  const parts =
    list === undefined
      ? []
      : ((JSON.parse(list.bytes.toString()) as { components?: { name: string; version: string }[] })
          .components ?? []);
  const node = parts.find(({ name }) => /^node-(win|linux|darwin)-/.test(name));
  if (node === undefined)
    throw new Error(
      `${path} does not say which Node it carries: it has no sbom.json that names it`,
    );
  return node.version;
}

function made(name: string, files: readonly TreeFile[], custom: ReleasePart): MadeTarget {
  const sorted = files.toSorted((a, b) => (a.path < b.path ? -1 : 1));
  const params = {
    [constants.ZSTD_c_compressionLevel]: ZSTD_LEVEL,
    [constants.ZSTD_c_checksumFlag]: 1,
  };
  const bytes = zstdCompressSync(writeTar(sorted, SECONDS), { params });
  return {
    name,
    bytes,
    length: bytes.length,
    sha256: createHash('sha256').update(bytes).digest('hex'),
    custom,
  };
}

function sizeOf(files: Tree): number {
  return files.reduce((sum, { bytes }) => sum + bytes.length, 0);
}
