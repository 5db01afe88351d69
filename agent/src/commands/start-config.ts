import { join } from 'node:path';
import type { Output } from '@aliquot/shared/cli/output';
import { exists } from '@aliquot/shared/durable/durable';
import { nodeFiles } from '@aliquot/shared/durable/file-port';
import type { AgentConfig } from '@aliquot/shared/settings/schema';
import { readConfigText } from './config-text-file.ts';

/**
 * What counts when a folder is opened: the desk's settings with what `agent.yaml` at `path` may
 * add, or that file alone; undefined where there is neither. For a file that stands alone, all
 * mistakes are reported, each with its line, before the error `USAGE_CONFIG`; beside the desk's
 * settings its mistakes are reported, and the desk's settings count.
 */
export async function startConfig(
  dataDir: string,
  path: string,
  output: Output,
): Promise<AgentConfig | undefined> {
  const text = await readConfigText(path);
  const beside = await besideDesk(dataDir, path, text, output);
  if (beside !== undefined || text === undefined) return beside;
  // Loaded here: most folders of one-shot use have no configuration, and YAML is heavy.
  return (await import('./config-file.ts')).configOf(path, text, output);
}

async function besideDesk(
  dataDir: string,
  path: string,
  text: string | undefined,
  output: Output,
): Promise<AgentConfig | undefined> {
  // Loaded here: most folders of one-shot use have no settings.
  if (!(await exists(nodeFiles, join(dataDir, 'identity', 'settings.json')))) return undefined;
  const desk = await (await import('../desk/open-desk.ts')).deskIn(dataDir, path);
  if (desk?.text === undefined) return undefined;
  const read = desk.effective(text);
  if ('mistakes' in read) {
    for (const { line, message } of read.mistakes)
      output.note(`settings ${desk.sequence}, line ${line}: ${message}`);
    output.note(
      'the settings of central IT cannot be used by this release; agent.yaml counts alone',
    );
    return undefined;
  }
  for (const { line, message } of read.unused) output.note(`${path}:${line}: ${message}`);
  return read.config;
}
