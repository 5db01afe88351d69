/** FORMAT.md, "AgentRevocationBody" and "EventBook". */
import {
  MAX_BOOK_EVENTS,
  MAX_EVENT_BOOK_BYTES,
  MAX_EVENT_BYTES,
  MAX_SIGNED_BODY_BYTES,
} from '../limits.ts';
import type { EventBook } from '../record-types.ts';
import type { AgentRevocationBody } from '../vault-types.ts';
import { codec } from './codec.ts';
import { line } from './common.ts';
import { list, object, version } from './field.ts';
import { v1 } from './generated.ts';
import { agentId, bytes, hash, timeMs, vaultId } from './scalar.ts';

/** The word of the authority, or of an operator, that an agent is one no more. */
export const { encode: encodeAgentRevocationBody, decode: decodeAgentRevocationBody } =
  codec<AgentRevocationBody>(
    'AgentRevocationBody',
    v1.AgentRevocationBody,
    object<AgentRevocationBody>('AgentRevocationBody', {
      version,
      vaultId,
      agentId,
      revokedAtMs: timeMs,
      reason: line,
    }),
    { maxBytes: MAX_SIGNED_BODY_BYTES },
  );

/** Events that outlive a history which is put back. Whoever reads it compares `sum`. */
export const { encode: encodeEventBook, decode: decodeEventBook } = codec<EventBook>(
  'EventBook',
  v1.EventBook,
  object<EventBook>(
    'EventBook',
    { vaultId, events: list(bytes(1, MAX_EVENT_BYTES), 0, MAX_BOOK_EVENTS), sum: hash },
    { impliedVersion: true },
  ),
  { maxBytes: MAX_EVENT_BOOK_BYTES, maxFields: MAX_BOOK_EVENTS + 3 },
);
