import { readFileIfThere } from '@aliquot/shared/durable/durable';
import { nodeFiles } from '@aliquot/shared/durable/file-port';

/** No list of folders that a person writes comes near this. */
const MAX_CONFIG_BYTES = 1 << 20;

/**
 * The text of a configuration file; undefined when there is none, or nothing in it but comments, as
 * in one that was just installed. Errors: those of reading files.
 */
export async function readConfigText(path: string): Promise<string | undefined> {
  const text = (await readFileIfThere(nodeFiles, path, MAX_CONFIG_BYTES))?.toString('utf8');
  const saysNothing = text?.split('\n').every((line) => /^\s*(#|$)/.test(line)) === true;
  return saysNothing ? undefined : text;
}
