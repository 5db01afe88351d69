import { readSettings } from '@aliquot/shared/settings/read';
import type { AgentConfig } from '@aliquot/shared/settings/schema';
import type { Mistake } from '@aliquot/shared/settings/text';
import { here } from '@aliquot/shared/settings/where';

/** Reads `agent.yaml` of a PC without settings from the desk (`readSettings`). */
export function readConfig(text: string): { readonly config: AgentConfig } | { readonly mistakes: readonly Mistake[] } {
  const read = readSettings(text, 'whole', here);
  return 'mistakes' in read ? read : { config: read.value };
}
