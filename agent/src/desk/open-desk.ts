import { join } from 'node:path';
import { exists, readFileIfThere } from '@aliquot/shared/durable/durable';
import { nodeFiles } from '@aliquot/shared/durable/file-port';
import { systemClock, systemRandom } from '@aliquot/shared/ports';
import { loadIdentity } from '../identity/identity-file.ts';
import { DeskBook, type DeskParts } from './book.ts';

/** No list of folders that a person writes comes near this. */
const MAX_CONFIG_BYTES = 1 << 20;

/** The desk's settings in a data folder, beside `agent.yaml` there or at `configPath`. */
export function openDesk(
  dataDir: string,
  {
    configPath,
    ...parts
  }: Omit<DeskParts, 'ownText'> & { readonly configPath?: string | undefined },
): Promise<DeskBook> {
  const path = configPath ?? join(dataDir, 'agent.yaml');
  const ownText = async () =>
    (await readFileIfThere(parts.port, path, MAX_CONFIG_BYTES))?.toString('utf8');
  return DeskBook.open(dataDir, { ...parts, ownText });
}

/**
 * The same for a caller that has not opened the folder; undefined where the desk never said
 * anything. Errors: those of `loadIdentity`.
 */
export async function deskIn(dataDir: string, configPath: string): Promise<DeskBook | undefined> {
  if (!(await exists(nodeFiles, DeskBook.path(dataDir)))) return undefined;
  const identity = await loadIdentity(nodeFiles, dataDir);
  return openDesk(dataDir, {
    port: nodeFiles,
    clock: systemClock,
    random: systemRandom,
    identity,
    configPath,
  });
}
