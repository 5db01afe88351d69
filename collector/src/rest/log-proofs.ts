import {
  decodeEpochOpeningBody,
  encodeSigned,
  HASH_BYTES,
  type Signed,
  type TreeHead,
} from '@aliquot/proto';
import { coversLoss } from '@aliquot/shared/log/continuation';
import { fromBase64, toBase64 } from '../api/base64.ts';
import { type LogProofs, logProofsRequest } from '../api/log-messages.ts';
import { RestError } from '../api/rest-error.ts';
import type { VaultWith } from '../store/vault-store.ts';
import type { RestContext } from './context.ts';

/**
 * Proofs that the log, as its head stands now, continues heads that a witness has seen. What it
 * does not continue is said, not hidden.
 */
export async function logProofsAnswer(
  context: RestContext,
  vault: VaultWith<'log'>,
  body: unknown,
): Promise<LogProofs> {
  const seen = logProofsRequest.parse(body).heads.map(({ logEpoch, size, root }): TreeHead => {
    const bytes = fromBase64(root);
    if (bytes.length !== HASH_BYTES)
      throw new RestError('REST_BAD_REQUEST', `a root has ${HASH_BYTES} bytes`);
    return { logEpoch, size, root: bytes };
  });
  // Read without a pause between them, so they are of the same size.
  const { size } = vault.log.treeHead();
  const head = vault.log.head(context.clock.nowMs());
  const openings = vault.log.openings(0).filter((opening) => opening.leafIndex < size);
  const proofs = [];
  for (const one of seen) proofs.push(await proofFor(vault, one, openings, size));
  return {
    head: toBase64(encodeSigned(head)),
    openings: await Promise.all(
      openings.map(async ({ opening, leaf, leafIndex }) => ({
        opening: toBase64(encodeSigned(opening)),
        leaf: toBase64(leaf),
        inclusion: (await vault.log.inclusion(leafIndex, size)).map(toBase64),
      })),
    ),
    proofs,
  };
}

type Openings = readonly { readonly opening: Signed; readonly leafIndex: number }[];

async function proofFor(
  vault: VaultWith<'log'>,
  seen: TreeHead,
  openings: Openings,
  size: number,
): Promise<LogProofs['proofs'][number]> {
  const judgement = await vault.log.judgeHead(seen);
  const later = openings.findIndex(
    ({ opening }) => decodeEpochOpeningBody(opening.body).logEpoch > seen.logEpoch,
  );
  const after = later === -1 ? openings.length : later;
  if (judgement === 'ahead' || judgement === 'contradicts')
    return { continues: false, firstOpening: after, consistency: [] };
  const naming =
    judgement === 'lost'
      ? openings.findIndex(({ opening }) => coversLoss(decodeEpochOpeningBody(opening.body), seen))
      : -1;
  const first = naming === -1 ? after : naming;
  // An opening stands right behind its base.
  const from = judgement === 'lost' ? (openings[first]?.leafIndex ?? 0) : seen.size;
  const consistency = from === 0 || from >= size ? [] : await vault.log.consistency(from, size);
  return { continues: true, firstOpening: first, consistency: consistency.map(toBase64) };
}
