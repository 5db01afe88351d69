import {
  asPurgeId,
  decodeSigned,
  decodeStoredPurged,
  encodePurgeOrderBody,
  encodeStateRecord,
} from '@aliquot/proto';
import { fromHex, hex } from '@aliquot/shared/crypto/bytes';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import { z } from 'zod';
import { fromBase64, toBase64 } from '../api/base64.ts';
import {
  approvePurgeRequest,
  cancelPurgeRequest,
  orderPurgeRequest,
  type PurgeInfo,
} from '../api/purge-messages.ts';
import { MAX_PURGE_BODY_BYTES } from '../limits.ts';
import { PURGE_DELAY_MS } from '../retention/brakes.ts';
import type { PurgeRow, PurgeWord } from '../store/catalog/purge-row.ts';
import type { VaultSweep } from '../store/vault-collection.ts';
import type { VaultWith } from '../store/vault-store.ts';
import { clockDoubt } from './clock.ts';
import type { RestContext } from './context.ts';
import type { OperatorRoutes } from './routes.ts';

/** What is asked about purges. */
export function purgeRoutes({ app, context, vault, stream }: OperatorRoutes): void {
  const path = '/vaults/:vault/purges';
  app.get(path, async (request) => purgesAnswer(vault(request)));
  app.post(path, async (request) => orderPurge(context, vault(request), request.body));
  app.get(`${path}/:purge/commits`, async (request, reply) =>
    stream(reply, commitRecords(vault(request), request.params)),
  );
  app.post(`${path}/approvals`, { bodyLimit: MAX_PURGE_BODY_BYTES }, async (request) =>
    approvePurge(context, vault(request), request.body),
  );
  app.post(`${path}/cancellations`, async (request) =>
    cancelPurge(context, vault(request), request.body),
  );
}

function purgesAnswer(vault: VaultWith<'purges' | 'register' | 'sweep'>): {
  readonly purges: PurgeInfo[];
} {
  const agents = vault.register.agents();
  const { lineages } = vault.sweep.status();
  const purges = vault.purges.all().map((row): PurgeInfo => {
    const { body, ordered, approved, cancelled } = row;
    // The newest PC of the lineage bears its name.
    const agent = agents.findLast(({ lineageId }) => equalBytes(lineageId, body.lineageId));
    return {
      order: toBase64(encodePurgeOrderBody(body)),
      agent: agent?.name ?? hex(body.lineageId),
      ordered: wordOf(ordered),
      notBeforeMs: ordered.timeMs + PURGE_DELAY_MS,
      approved: approved && wordOf(approved),
      waits: approved && vault.purges.isOpen(row),
      sweptAtMs:
        approved === undefined || approved.sweptAtMs === 0 ? undefined : approved.sweptAtMs,
      waitsFor: waitsOf(vault, row, lineages),
      cancelled: cancelled && { ...wordOf(cancelled), reason: cancelled.reason },
    };
  });
  return { purges };
}

/** The PCs that have to answer before the content of an approved purge can be swept. */
function waitsOf(
  vault: VaultWith<'purges' | 'register'>,
  row: PurgeRow,
  lineages: ReturnType<VaultSweep['status']>['lineages'],
): string[] {
  if (row.approved === undefined || !vault.purges.isOpen(row)) return [];
  return lineages.flatMap(({ waits }) =>
    waits.flatMap(({ agent }) => {
      const lineageId = vault.register.agentByName(agent)?.lineageId;
      return lineageId !== undefined && equalBytes(lineageId, row.body.lineageId) ? [agent] : [];
    }),
  );
}

function wordOf({ leaf, timeMs, by }: PurgeWord): PurgeInfo['ordered'] {
  return { leaf, atMs: timeMs, by };
}

/** Records an order; not while nobody knows what time it is, for a day is counted from it. */
async function orderPurge(
  context: RestContext,
  vault: VaultWith<'descriptor' | 'purges'>,
  body: unknown,
): Promise<{ leafIndex: number }> {
  const { order, operator } = orderPurgeRequest.parse(body);
  const doubt = clockDoubt(context);
  if (doubt !== undefined) throw doubt;
  const answer = await vault.purges.order({
    type: 'purgeOrdered',
    timeMs: context.clock.nowMs(),
    order: decodeSigned(fromBase64(order)),
    operator: decodeSigned(fromBase64(operator)),
  });
  const id = hex(vault.descriptor.vaultId);
  context.log.warn({ vault: id, leaf: answer.leafIndex }, 'a purge was ordered');
  return answer;
}

/** The commits that a purge is about, as they are served. */
async function* commitRecords(
  vault: VaultWith<'purges'>,
  params: unknown,
): AsyncGenerator<Uint8Array> {
  const { purge } = purgeParams.parse(params);
  const id = asPurgeId(fromHex(purge) ?? new Uint8Array(0));
  for await (const record of vault.purges.commits(id)) yield encodeStateRecord(record);
}

const purgeParams = z.object({ purge: z.string().regex(/^[0-9a-f]{32}$/) });

/** Records an approval with the commits that came; not while nobody knows what time it is. */
async function approvePurge(
  context: RestContext,
  vault: VaultWith<'descriptor' | 'purges'>,
  body: unknown,
): Promise<{ leafIndex: number }> {
  const { approval, operator, commits } = approvePurgeRequest.parse(body);
  const doubt = clockDoubt(context);
  if (doubt !== undefined) throw doubt;
  const answer = await vault.purges.approve(
    {
      type: 'purgeApproved',
      timeMs: context.clock.nowMs(),
      approval: decodeSigned(fromBase64(approval)),
      operator: decodeSigned(fromBase64(operator)),
    },
    commits.map((commit) => decodeStoredPurged(fromBase64(commit))),
  );
  const id = hex(vault.descriptor.vaultId);
  context.log.warn({ vault: id, leaf: answer.leafIndex }, 'a purge was approved');
  return answer;
}

async function cancelPurge(
  context: RestContext,
  vault: VaultWith<'descriptor' | 'events'>,
  body: unknown,
): Promise<{ leafIndex: number }> {
  const { cancellation, operator } = cancelPurgeRequest.parse(body);
  const answer = await vault.events.append({
    type: 'purgeCancelled',
    timeMs: context.clock.nowMs(),
    cancellation: decodeSigned(fromBase64(cancellation)),
    operator: operator === undefined ? undefined : decodeSigned(fromBase64(operator)),
  });
  const id = hex(vault.descriptor.vaultId);
  context.log.warn({ vault: id, leaf: answer.leafIndex }, 'a purge was cancelled');
  return answer;
}
