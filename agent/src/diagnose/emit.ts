import { LogFile } from '@aliquot/shared/log-lines/log-file';
import type { Agent } from '../folder/agent.ts';
import type { Emit } from '../socket/protocol.ts';
import type { ServiceView } from '../status/stock.ts';
import type { MadeDiagnosis } from '../uplink/diagnosis-answer.ts';
import { type Diagnosis, diagnosisOf, diagnosisText } from './diagnosis.ts';

/**
 * A line between service and command holds a mebibyte of JSON, in which a character may take six
 * bytes.
 */
const PART_CHARS = 128 * 1024;
/**
 * Anyone who asks over the network waits for the answer: to prove a larger queue takes longer than
 * that.
 */
const MOST_PROVED_BYTES = 1 << 30;

/**
 * `diagnose`: the text in parts, as events `diagnosis`. `logFile` stands in for what a service
 * knows of its own log.
 */
export async function emitDiagnosis(
  agent: Agent,
  view: ServiceView | undefined,
  logFile: string | undefined,
  emit: Emit,
): Promise<void> {
  const log = logFile === undefined ? await view?.log?.() : await LogFile.tail(agent.port, logFile);
  const text = diagnosisText(await diagnosisOf(agent, view, { log, fsck: true }));
  for (let at = 0; at < text.length; at += PART_CHARS)
    await emit({ event: 'diagnosis', part: text.slice(at, at + PART_CHARS) });
}

/** The diagnosis for an operator who asked over the network. */
export async function diagnosisForDesk(agent: Agent, view: ServiceView): Promise<MadeDiagnosis> {
  const { usedBytes, keptBytes } = await agent.queue.intake.usage();
  const fsck = usedBytes + keptBytes <= MOST_PROVED_BYTES;
  return made(await diagnosisOf(agent, view, { log: await view.log?.(), fsck }));
}

function made(diagnosis: Diagnosis): MadeDiagnosis {
  return {
    text: diagnosisText(diagnosis),
    shorter() {
      const { lines, leftOut, known } = diagnosis.log;
      const half = Math.ceil(lines.length / 2);
      if (half === 0) return undefined;
      return made({
        ...diagnosis,
        log: { known, leftOut: leftOut + half, lines: lines.slice(half) },
      });
    },
  };
}
