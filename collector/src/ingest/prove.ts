import { type ClientFrame, MAX_HELLO_BYTES, type VaultId } from '@aliquot/proto';
import { hex } from '@aliquot/shared/crypto/bytes';
import type { AgentCertificate } from '@aliquot/shared/keys/certificates';
import type { Random } from '@aliquot/shared/ports';
import { type ServedVault, ServerHandshake } from '@aliquot/shared/session/handshake';
import type { CollectorStore } from '../store/collector-store.ts';
import { StoreError } from '../store/errors.ts';
import type { VaultStore } from '../store/vault-store.ts';
import type { Channel } from './channel.ts';
import { IngestError } from './errors.ts';
import { SecureLink } from './secure-link.ts';

/** What it takes to hear who is there. */
export interface ProvingParts {
  readonly collector: CollectorStore;
  readonly random: Random;
  readonly channel: Channel;
  /** The next message; undefined when the other side is gone. */
  readonly next: () => Promise<Uint8Array | undefined>;
  /** Does what costs keys or signatures; undefined when the other side is gone by then. */
  readonly atTurn: <T>(work: () => T) => Promise<T | undefined>;
  /** From here on the other side can read a refusal. */
  readonly onLink: (link: SecureLink) => void;
}

/** An agent that has proved who it is. Whether it may work here is not looked at yet. */
export interface ProvedAgent {
  readonly store: VaultStore;
  readonly certificate: AgentCertificate;
  readonly auth: Extract<ClientFrame, { type: 'auth' }>;
  readonly link: SecureLink;
}

/**
 * The handshake of one connection; undefined when the other side went away in between. Throws
 * IngestError, SessionError, FormatError.
 */
export async function prove(parts: ProvingParts): Promise<ProvedAgent | undefined> {
  const { collector, random, channel, next, atTurn, onLink } = parts;
  const vault = (id: VaultId) => servedVault(collector, id);
  const handshake = new ServerHandshake({ signKey: collector.identity, vault, random });
  const hello = await next();
  if (hello === undefined) return undefined;
  if (hello.length > MAX_HELLO_BYTES) throw protocol('the first message is too large');
  const established = await atTurn(() => handshake.onClientHello(hello));
  if (established === undefined) return undefined;
  await channel.send(established.hello);
  const message = await next();
  if (message === undefined) return undefined;
  const link = new SecureLink(channel, established.keys);
  const { frame: auth } = link.open(message);
  onLink(link);
  if (auth.type !== 'auth') throw protocol('the first frame is not auth');
  const store = collector.vault(established.vaultId);
  if (store === undefined) throw protocol('no such vault');
  const certificate = await atTurn(() => handshake.verifyAuth(auth));
  return certificate && { store, certificate, auth, link };
}

function servedVault(collector: CollectorStore, vaultId: VaultId): ServedVault | undefined {
  const vault = collector.vault(vaultId);
  if (vault === undefined && collector.ailing().some(({ id }) => id === hex(vaultId)))
    throw new StoreError('STORE_FAILED', 'a vault that is not served is asked for');
  return (
    vault && { authorityKey: vault.descriptor.authorityKey, certificate: vault.signedCertificate }
  );
}

function protocol(message: string): IngestError {
  return new IngestError('INGEST_PROTOCOL', message, { refusal: 'protocol' });
}
