import { join } from 'node:path';
import { readFileIfThere } from '@aliquot/shared/durable/durable';
import { DeskBook, type DeskParts } from './book.ts';

/** No list of folders that a person writes comes near this. */
const MAX_CONFIG_BYTES = 1 << 20;

/** The desk's settings in a data folder, beside `agent.yaml` there or at `configPath`. */
export function openDesk(
  dataDir: string,
  { configPath, ...parts }: Omit<DeskParts, 'ownText'> & { readonly configPath?: string | undefined },
): Promise<DeskBook> {
  const path = configPath ?? join(dataDir, 'agent.yaml');
  const ownText = async () => (await readFileIfThere(parts.port, path, MAX_CONFIG_BYTES))?.toString('utf8');
  return DeskBook.open(dataDir, { ...parts, ownText });
}
