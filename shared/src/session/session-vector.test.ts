import { type ChainId, encodeClientFrame, type Signed, type VaultId } from '@aliquot/proto';
import { expect, test } from 'vitest';
import vector from '../../vectors/session-1.json' with { type: 'json' };
import { fromHex, hex } from '../crypto/bytes.ts';
import { signingKeyFromSeed } from '../crypto/sign.ts';
import type { Random } from '../ports.ts';
import { FrameOpener, FrameSealer } from './frames.ts';
import { ClientHandshake, ServerHandshake } from './handshake.ts';

const bytes = (text: string) => fromHex(text) ?? new Uint8Array(0);
const signed = (value: { body: string; signature: string }): Signed => ({
  body: bytes(value.body),
  signature: bytes(value.signature),
});

/** Gives out what the vector's ends drew, in the same order. */
function replay(drawn: readonly string[]): Random {
  const left = [...drawn];
  return { bytes: () => bytes(left.shift() ?? '') };
}

test('version 1 of the handshake and of frames stays as it is, byte for byte', () => {
  const authorityKey = bytes(vector.authorityKey);
  const certificate = signed(vector.collectorCertificate);
  const agentEnd = new ClientHandshake({
    vaultId: bytes(vector.vaultId) as VaultId,
    authorityKey,
    random: replay(vector.clientRandom),
  });
  const collectorEnd = new ServerHandshake({
    signKey: signingKeyFromSeed(bytes(vector.collectorSeed)),
    vault: () => ({ authorityKey, certificate }),
    random: replay(vector.serverRandom),
  });

  expect(hex(agentEnd.start())).toBe(vector.clientHello);
  const answer = collectorEnd.onClientHello(bytes(vector.clientHello));
  expect(hex(answer.hello)).toBe(vector.serverHello);
  const { keys } = agentEnd.onServerHello(answer.hello);
  expect(hex(keys.clientToServer)).toBe(vector.clientToServer);
  expect(hex(keys.serverToClient)).toBe(vector.serverToClient);

  const auth = agentEnd.auth({
    enrolment: signed(vector.enrolment),
    binding: signed(vector.binding),
    signKey: signingKeyFromSeed(bytes(vector.agentSeed)),
    chainId: bytes(vector.chainId) as ChainId,
    software: vector.software,
    treeHead: undefined,
    signedHead: undefined,
    signedHeadCertificate: undefined,
    addressesRevision: 0,
    settingsSequence: 0,
  });
  expect(hex(encodeClientFrame(auth))).toBe(vector.auth);
  expect(collectorEnd.verifyAuth(auth).enrolment.name).toBe('hplc-7');

  const sealer = new FrameSealer(keys, 'client');
  expect(hex(sealer.seal(bytes(vector.auth)))).toBe(vector.sealedAuth);
  expect(hex(sealer.seal(bytes(vector.fromAgent.frame)))).toBe(vector.fromAgent.sealed);
  expect(hex(new FrameOpener(keys, 'client').open(bytes(vector.fromCollector.sealed)))).toBe(
    vector.fromCollector.frame,
  );
});
