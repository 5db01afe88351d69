/** FORMAT.md, "DiagnosisRequestBody"; WIRE.md, "diagnose" and "diagnosis". */

import type { DiagnosisRequestBody } from '../desk-types.ts';
import { MAX_SIGNED_BODY_BYTES } from '../limits.ts';
import { codec } from './codec.ts';
import { type Field, object, version } from './field.ts';
import { v1 } from './generated.ts';
import { agentId, bytes, timeMs, vaultId } from './scalar.ts';

/** What tells one question from another. */
export const askId: Field<Uint8Array> = bytes(16, 16);

/** An operator's question for one agent's diagnosis. */
export const { encode: encodeDiagnosisRequestBody, decode: decodeDiagnosisRequestBody } =
  codec<DiagnosisRequestBody>(
    'DiagnosisRequestBody',
    v1.DiagnosisRequestBody,
    object<DiagnosisRequestBody>('DiagnosisRequestBody', {
      version,
      vaultId,
      agentId,
      askId,
      askedAtMs: timeMs,
    }),
    { maxBytes: MAX_SIGNED_BODY_BYTES },
  );
