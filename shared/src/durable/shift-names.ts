import { withFileErrors } from './errors.ts';
import type { FilePort } from './file-port.ts';
import { errnoOf } from './system-errors.ts';

/**
 * Makes room for a new `FILE` by giving the old one the name `FILE.1`, that one `FILE.2`, and so
 * on; of `keep` files the oldest goes. The order is such that an end in the middle loses none but
 * the oldest. Nothing is flushed: made for logs, whose last lines nobody can promise.
 *
 * @throws FileError when a name cannot be changed, as while another program holds the file on
 * Windows
 */
export async function shiftNames(port: FilePort, path: string, keep: number): Promise<void> {
  for (let number = keep - 1; number >= 1; number -= 1) {
    const from = number === 1 ? path : `${path}.${number - 1}`;
    await withFileErrors('rename', from, async () => {
      await port.rename(from, `${path}.${number}`).catch((error: unknown) => {
        if (errnoOf(error) !== 'ENOENT') throw error; // there are not so many yet
      });
    });
  }
}
