import { createHash } from 'node:crypto';
import { pathText, printable } from '@aliquot/shared/cli/format';
import { sha256 } from '@aliquot/shared/crypto/primitives';
import { RestoreError } from '@aliquot/shared/restore/errors';
import { isProvedBy } from '@aliquot/shared/restore/file-writer';
import type { FileSpec, RestoreTarget } from '@aliquot/shared/restore/restore-target';

const nowhere = { final: Buffer.alloc(0) };

/**
 * A restore target that writes no file: it hands each file's bytes to `take` and compares size and
 * hash at the end, so `check` proves what `restore` would give, and `cat` prints it.
 */
export function proofTarget(take?: (bytes: Uint8Array) => Promise<void>): RestoreTarget {
  return {
    whole(spec, _placed, bytes) {
      requireProved(spec, bytes.length, sha256(bytes));
      const took = take?.(bytes.slice());
      return took === undefined ? 'written' : took.then(() => 'written');
    },
    place: () => nowhere,
    async file(spec) {
      const hash = createHash('sha256');
      let size = 0;
      return {
        async write(bytes) {
          hash.update(bytes);
          size += bytes.length;
          await take?.(bytes);
        },
        async finish() {
          requireProved(spec, size, hash.digest());
          return 'written';
        },
        async abort() {},
        async leave() {},
      };
    },
    async directory() {},
    async symlink() {
      return 'written';
    },
    async finish() {
      return [];
    },
  };
}

function requireProved(spec: FileSpec, size: number, digest: Uint8Array): void {
  if (size === spec.size && isProvedBy(spec, digest)) return;
  throw new RestoreError(
    'RESTORE_DAMAGED',
    `${printable(pathText(spec.path))} came back changed: its bytes are not those that were captured`,
  );
}
