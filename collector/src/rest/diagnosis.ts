import { decodeSigned } from '@aliquot/proto';
import { hex } from '@aliquot/shared/crypto/bytes';
import { verifyDiagnosisRequest } from '@aliquot/shared/diagnosis/sealed';
import { fromBase64, toBase64 } from '../api/base64.ts';
import { type DiagnosisMessage, diagnoseRequest } from '../api/messages.ts';
import { RestError } from '../api/rest-error.ts';
import type { VaultWith } from '../store/vault-store.ts';
import { agentOf, type RestContext } from './context.ts';

/** A PC proves a gibibyte of its queue before it answers; then it does not. */
const ANSWER_MS = 90_000;

/**
 * Hands an operator's question to an agent that is connected, and its answer back, which is sealed
 * to the operator. The question stands in the log before the agent sees it.
 */
export async function diagnoseAgent(
  context: RestContext,
  vault: VaultWith<'descriptor' | 'events' | 'register'>,
  idHex: string,
  body: unknown,
): Promise<DiagnosisMessage> {
  const given = diagnoseRequest.parse(body);
  const asked = {
    request: decodeSigned(fromBase64(given.request)),
    certificate: decodeSigned(fromBase64(given.certificate)),
  };
  const agent = agentOf(vault, idHex);
  const { vaultId } = vault.descriptor;
  const timeMs = context.clock.nowMs();
  const { body: question, operator } = verifyDiagnosisRequest(
    vault.descriptor,
    agent.agentId,
    asked,
    timeMs,
  );
  const away = `${agent.name} is not connected; ask again when \`aliquot agents\` shows it as connected, or at the PC: aliquot-agent diagnose`;
  if (!context.sessions.isConnected(vaultId, agent.agentId))
    throw new RestError('REST_AGENT_AWAY', away);
  await vault.events.append({ type: 'diagnosisAsked', timeMs, ...asked });
  context.log.info(
    { vault: hex(vaultId), agent: agent.name, operator: operator.name },
    'an agent is asked for a diagnosis',
  );
  const asking = context.sessions.diagnose(vaultId, agent.agentId, {
    ...asked,
    askId: question.askId,
  });
  const giveUp = context.timers.after(ANSWER_MS, () => asking?.forget());
  const reply = await asking?.reply;
  giveUp();
  if (reply === undefined)
    throw new RestError(
      'REST_AGENT_AWAY',
      `${agent.name} left, or did not answer in time; ask again`,
    );
  const { code, ephemeralKey, sealed } = reply;
  return {
    code,
    ephemeralKey: ephemeralKey && toBase64(ephemeralKey),
    sealed: sealed && toBase64(sealed),
  };
}
