import { createHash } from 'node:crypto';
import { pathText, printable } from '@aliquot/shared/cli/format';
import { RestoreError } from '@aliquot/shared/restore/errors';
import { isProvedBy } from '@aliquot/shared/restore/file-writer';
import type { FileSpec, RestoreTarget } from '@aliquot/shared/restore/restore-target';

/**
 * A restore target that writes no file: it hands each file's bytes to `take` and compares size and
 * hash at the end, so `check` proves what `restore` would give, and `cat` prints it.
 */
export function proofTarget(take: (bytes: Uint8Array) => Promise<void>): RestoreTarget {
  return {
    async place() {
      return { final: Buffer.alloc(0) };
    },
    async file(spec) {
      const hash = createHash('sha256');
      let size = 0;
      return {
        async write(bytes) {
          hash.update(bytes);
          size += bytes.length;
          await take(bytes);
        },
        async finish() {
          if (size !== spec.size || !isProvedBy(spec, hash.digest())) throw damaged(spec);
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

function damaged(spec: FileSpec): RestoreError {
  return new RestoreError(
    'RESTORE_DAMAGED',
    `${printable(pathText(spec.path))} came back changed: its bytes are not those that were captured`,
  );
}
