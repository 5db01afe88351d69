import type { Platform } from '@aliquot/proto';
import { readSettings } from '@aliquot/shared/settings/read';
import type { AgentConfig } from '@aliquot/shared/settings/schema';
import type { Mistake } from '@aliquot/shared/settings/text';
import { here } from '@aliquot/shared/settings/where';

/**
 * Reads `agent.yaml` of a PC without settings from the desk (`readSettings`), as a PC of this
 * system or another kind does.
 */
export function readConfig(
  text: string,
  where: Platform = here,
): { readonly config: AgentConfig } | { readonly mistakes: readonly Mistake[] } {
  const read = readSettings(text, 'whole', where);
  return 'mistakes' in read ? read : { config: read.value };
}
