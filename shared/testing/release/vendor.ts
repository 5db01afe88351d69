import { createHash, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { constants, zstdCompressSync } from 'node:zlib';
import {
  listMetadata,
  rootMetadata,
  type VendorKeys,
  type VendorTarget,
} from '../../src/release/repository.ts';
import {
  nodeTarget,
  programTarget,
  type ReleasePlatform,
  targetFile,
} from '../../src/release/targets.ts';

const YEAR_MS = 365 * 86_400_000;

/** A small version for a release: what its folder holds, and its Node. */
export interface SmallVersion {
  readonly version: string;
  readonly platform: ReleasePlatform;
  readonly node: Buffer;
  readonly nodeVersion?: string;
  /** Paths to contents; those that end in `*` are programs. */
  readonly files: Readonly<Record<string, string | Buffer>>;
}

/** A vendor with its own keys, who makes releases of small versions. */
export class Vendor {
  readonly keys: VendorKeys;
  readonly root: Buffer;
  #targets: VendorTarget[] = [];
  #files = new Map<string, Buffer>();
  #lists = 0;

  constructor(nowMs: number) {
    const key = (): KeyObject => generateKeyPairSync('ed25519').privateKey;
    this.keys = { root: [key(), key(), key()], targets: key(), newest: key() };
    this.root = rootMetadata(this.keys, this.keys.root, 1, nowMs + 10 * YEAR_MS);
  }

  /**
   * The files of a release that names everything before it, and this version; undefined: new lists
   * of the same.
   */
  release(
    small: SmallVersion | undefined,
    nowMs: number,
    termMs = YEAR_MS,
  ): ReadonlyMap<string, Buffer> {
    if (small !== undefined) this.#add(small);
    this.#lists += 1;
    const lists = listMetadata(this.keys, this.#targets, this.#lists, nowMs + termMs);
    return new Map([...this.#files, ['metadata/1.root.json', this.root], ...lists]);
  }

  #add({ version, platform, node, nodeVersion = '24.0.0', files }: SmallVersion): void {
    const windows = platform.startsWith('win-');
    const file = windows ? ('node.exe' as const) : ('node' as const);
    const target = nodeTarget(nodeVersion, platform);
    const known = this.#targets.some(
      ({ name, custom }) => name === target && custom.unpackedBytes === node.length,
    );
    if (!known)
      this.#put(target, tarOf({ [`${file}*`]: node }), {
        part: 'node',
        platform,
        version: nodeVersion,
        unpackedBytes: node.length,
      });
    const unpackedBytes = Object.values(files).reduce(
      (sum, content) => sum + Buffer.byteLength(content),
      0,
    );
    const about = {
      target,
      file,
      bytes: node.length,
      sha256: createHash('sha256').update(node).digest('hex'),
    };
    this.#put(programTarget(version, platform), tarOf(files), {
      part: 'program',
      platform,
      version,
      unpackedBytes,
      node: about,
    });
  }

  #put(name: string, tar: Buffer, custom: VendorTarget['custom']): void {
    const bytes = zstdCompressSync(tar, { params: { [constants.ZSTD_c_compressionLevel]: 3 } });
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    this.#targets = [
      ...this.#targets.filter((target) => target.name !== name),
      { name, length: bytes.length, sha256, custom },
    ];
    this.#files.set(targetFile(name, sha256), bytes);
  }
}

/** Writes the files of a release as its folder. */
export function writeRelease(dir: string, files: ReadonlyMap<string, Buffer>): void {
  for (const folder of ['metadata', 'targets']) mkdirSync(join(dir, folder), { recursive: true });
  for (const [name, bytes] of files) writeFileSync(join(dir, name), bytes);
}

/** A ustar archive of a few files; names that end in `*` are programs. */
export function tarOf(files: Readonly<Record<string, string | Buffer>>): Buffer {
  const parts = Object.entries(files).flatMap(([name, content]) => {
    const bytes = Buffer.from(content as Buffer);
    const head = Buffer.alloc(512);
    head.write(name.replace(/\*$/, ''), 0);
    head.write(name.endsWith('*') ? '0000755' : '0000644', 100);
    head.write('0000000\x000000000\0', 108);
    head.write(bytes.length.toString(8).padStart(11, '0'), 124);
    head.write('00000000000', 136);
    head.write('        0', 148);
    head.write('ustar\x0000', 257);
    head.write(
      `${head
        .reduce((sum, byte) => sum + byte, 0)
        .toString(8)
        .padStart(6, '0')}\0 `,
      148,
    );
    return [head, bytes, Buffer.alloc((512 - (bytes.length % 512)) % 512)];
  });
  return Buffer.concat([...parts, Buffer.alloc(1024)]);
}
