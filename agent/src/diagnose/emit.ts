import { LogFile } from '@aliquot/shared/log-lines/log-file';
import { software } from '../commands/software.ts';
import type { Agent } from '../service/agent.ts';
import type { Emit } from '../service/protocol.ts';
import type { ServiceView } from '../service/stock.ts';
import { diagnosisOf, diagnosisText } from './diagnosis.ts';

/** A line between service and command holds a mebibyte of JSON, in which a character may take six bytes. */
const PART_CHARS = 128 * 1024;

/** `diagnose`: the text in parts, as events `diagnosis`. `logFile` stands in for what a service knows of its own log. */
export async function emitDiagnosis(agent: Agent, view: ServiceView | undefined, logFile: string | undefined, emit: Emit): Promise<void> {
  const log = logFile === undefined ? await view?.log?.() : await LogFile.tail(agent.port, logFile);
  const text = diagnosisText(await diagnosisOf(agent, view, { software, log }));
  for (let at = 0; at < text.length; at += PART_CHARS) await emit({ event: 'diagnosis', part: text.slice(at, at + PART_CHARS) });
}
