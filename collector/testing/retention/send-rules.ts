/** Rules of retention, as `aliquot policy set` sends them. Tests alone import this. */
import { readFile } from 'node:fs/promises';
import { encodeSigned } from '@aliquot/proto';
import { sha256 } from '@aliquot/shared/crypto/primitives';
import { policyKeyFor } from '@aliquot/shared/keys/derive';
import { openKit } from '@aliquot/shared/keys/kit';
import { issuePolicy, sealPolicyText } from '@aliquot/shared/keys/policy';
import { systemRandom } from '@aliquot/shared/ports';
import { toBase64 } from '../../src/api/base64.ts';
import { rulesOf } from './signed.ts';

/** Sends rules alone, as the first policy of the vault of a kit. */
export async function sendRules(
  to: { readonly url: string; readonly token: string },
  kit: { readonly path: string; readonly passphrase: string },
  ...rules: readonly string[]
): Promise<Response> {
  const text = await readFile(kit.path, 'utf8');
  const { descriptor, authority, pathSecret } = await openKit(text, kit.passphrase);
  const key = policyKeyFor(pathSecret, descriptor.vaultId).publicKey;
  const sealed = sealPolicyText(key, descriptor, '# rules\n', systemRandom);
  const policy = issuePolicy(authority, {
    ...{ version: 1, vaultId: descriptor.vaultId, revision: 1, rules: rulesOf(...rules) },
    ...{ setAtMs: Date.now(), sealedHash: sha256(sealed) },
  });
  const id = Buffer.from(descriptor.vaultId).toString('hex');
  return fetch(`${to.url}/v1/operator/vaults/${id}/policy`, {
    method: 'POST',
    headers: { authorization: `Bearer ${to.token}`, 'content-type': 'application/json' },
    body: JSON.stringify({
      policy: toBase64(encodeSigned(policy)),
      sealed: toBase64(sealed),
      settings: [],
    }),
  });
}
