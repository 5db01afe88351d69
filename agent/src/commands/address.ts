import { resolve } from 'node:path';
import { encodeSigned } from '@aliquot/proto';
import { UsageError } from '@aliquot/shared/cli/errors';
import type { Output } from '@aliquot/shared/cli/output';
import { readFileIfThere } from '@aliquot/shared/durable/durable';
import { nodeFiles } from '@aliquot/shared/durable/file-port';
import { readAddressesFile } from '@aliquot/shared/keys/addresses-file';
import { IdentityError } from '../identity/errors.ts';
import { perform } from './open.ts';

const MAX_FILE_BYTES = 1 << 20;

/**
 * `address set FILE`: through the running service, or by opening the folder here. The file is read
 * here, because the user who asks may see files that the service does not. Errors:
 * `ADDRESSES_FOREIGN`, and `USAGE_INVALID` for a file that is not there.
 */
export async function addressSet(file: string, dataOption: string, output: Output): Promise<void> {
  const bytes = await readFileIfThere(nodeFiles, resolve(file), MAX_FILE_BYTES);
  const way = 'central IT writes it: aliquot collector address set URL --kit KIT --out FILE';
  if (bytes === undefined)
    throw new UsageError('USAGE_INVALID', `there is no file ${file}; ${way}`);
  const signed = readAddressesFile(bytes.toString('utf8'));
  if (signed === undefined)
    throw new IdentityError(
      'ADDRESSES_FOREIGN',
      `${file} holds no addresses of a collector, or is damaged; ${way}`,
    );
  await perform(
    dataOption,
    { op: 'setAddresses', addresses: Buffer.from(encodeSigned(signed)).toString('base64') },
    output,
  );
}
