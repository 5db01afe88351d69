import { decodeHoldBody, decodeSigned, type EventBody, encodeHoldBody } from '@aliquot/proto';
import { boxKeyFromSecret } from '@aliquot/shared/crypto/box';
import { hex } from '@aliquot/shared/crypto/bytes';
import { openHoldPaths, verifyHoldRelease } from '@aliquot/shared/keys/hold';
import { fromBase64, toBase64 } from '../api/base64.ts';
import {
  type HoldInfo,
  releaseHoldRequest,
  resolveHoldRequest,
  setHoldRequest,
} from '../api/hold-messages.ts';
import { RestError } from '../api/rest-error.ts';
import type { VaultWith } from '../store/vault-store.ts';
import type { RestContext } from './context.ts';
import type { OperatorRoutes } from './routes.ts';

/** What is asked about holds. */
export function holdRoutes({ app, context, vault }: OperatorRoutes): void {
  const path = '/vaults/:vault/holds';
  app.get(path, async (request) => holdsAnswer(vault(request)));
  app.post(path, async (request) => setHold(context, vault(request), request.body));
  app.post(`${path}/resolutions`, async (request) =>
    resolveHold(context, vault(request), request.body),
  );
  app.post(`${path}/releases`, async (request) =>
    releaseHold(context, vault(request), request.body),
  );
}

/** Every hold; with their patterns where the vault is not blind. */
function holdsAnswer(vault: VaultWith<'catalogSecretKey' | 'holds'>): {
  readonly holds: HoldInfo[];
} {
  const { catalogSecretKey: secret } = vault;
  const catalogKey = secret && boxKeyFromSecret(secret);
  const holds = vault.holds.all().map(({ body, setLeaf, setAtMs, resolved, released }) => {
    const globs = catalogKey && openHoldPaths(catalogKey, body);
    return {
      hold: toBase64(encodeHoldBody(body)),
      ...{ leaf: setLeaf, setAtMs },
      globs: globs && [...globs],
      resolved: resolved?.size,
      released: released && {
        ...{ leaf: released.leaf, atMs: released.timeMs, reason: released.reason },
        by: released.by || undefined,
      },
    };
  });
  return { holds };
}

/** Records a hold: the token is enough, for it only keeps more. */
async function setHold(
  context: RestContext,
  vault: VaultWith<'descriptor' | 'events'>,
  body: unknown,
): Promise<{ leafIndex: number }> {
  const hold = decodeHoldBody(fromBase64(setHoldRequest.parse(body).hold));
  const timeMs = context.clock.nowMs();
  const answer = await vault.events.append({ type: 'holdSet', timeMs, hold });
  context.log.info({ vault: hex(vault.descriptor.vaultId), hold: hold.name }, 'hold set');
  return answer;
}

/**
 * Records which files the patterns of a hold fit, as the authority says: parts of it, all or none
 * of them.
 */
async function resolveHold(
  context: RestContext,
  vault: VaultWith<'catalogSecretKey' | 'descriptor' | 'events'>,
  body: unknown,
): Promise<{ leafIndex: number }> {
  const { parts } = resolveHoldRequest.parse(body);
  if (vault.catalogSecretKey !== undefined)
    throw new RestError(
      'REST_BAD_REQUEST',
      `vault ${vault.descriptor.name} is not blind: its collector opens names itself, so no hold in it needs to be resolved`,
    );
  const timeMs = context.clock.nowMs();
  const answer = await vault.events.appendAll(
    parts.map((part): EventBody => {
      return { type: 'holdResolved', timeMs, resolution: decodeSigned(fromBase64(part)) };
    }),
  );
  context.log.info(
    { vault: hex(vault.descriptor.vaultId), parts: parts.length },
    'files of a hold were named',
  );
  return answer;
}

/** Ends a hold, as the authority or an operator for retention signed, whose term lasts. */
async function releaseHold(
  context: RestContext,
  vault: VaultWith<'descriptor' | 'events'>,
  body: unknown,
): Promise<{ leafIndex: number }> {
  const request = releaseHoldRequest.parse(body);
  const release = decodeSigned(fromBase64(request.release));
  const operator =
    request.operator === undefined ? undefined : decodeSigned(fromBase64(request.operator));
  const { authorityKey, vaultId } = vault.descriptor;
  const timeMs = context.clock.nowMs();
  const { holdId } = verifyHoldRelease(authorityKey, vaultId, { release, operator }, timeMs);
  const answer = await vault.events.append({ type: 'holdReleased', timeMs, release, operator });
  context.log.warn({ vault: hex(vaultId), hold: hex(holdId) }, 'hold released');
  return answer;
}
