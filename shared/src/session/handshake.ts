import {
  type ChainId,
  type ClientFrame,
  type CollectorCertificateBody,
  type CollectorId,
  decodeClientHello,
  decodeServerHello,
  encodeClientHello,
  encodeServerHello,
  FormatError,
  type Signed,
  type TreeHead,
  type VaultId,
} from '@aliquot/proto';
import { type Agreement, newAgreement } from '../crypto/box.ts';
import { CryptoError, equalBytes } from '../crypto/primitives.ts';
import { type SigningKey, sign, signatureHolds } from '../crypto/sign.ts';
import {
  type AgentCertificate,
  CertificateError,
  verifyAgent,
  verifyCollectorCertificate,
} from '../keys/certificates.ts';
import type { Random } from '../ports.ts';
import { SessionError } from './errors.ts';
import type { SessionKeys } from './frames.ts';
import {
  CLIENT_SIGNATURE,
  clientTranscript,
  protocolVersions,
  SERVER_SIGNATURE,
  serverTranscript,
  sessionKeys,
  sessionTranscript,
} from './transcript.ts';

/**
 * The handshake, without sockets. Messages:
 *
 * 1. agent → collector, clear: `ClientHello` (offered versions, vault, nonce, ephemeral key).
 * 2. collector → agent, clear: `ServerHello` (chosen version, nonce, ephemeral key, certificate,
 *    signature over 1 and 2).
 * 3. agent → collector, first sealed frame: `auth` (certificate, signature over 1, 2 and its own
 *    certificate).
 *
 * Keys come from X25519 of the ephemeral keys (forward secrecy) and the signed transcript, in the
 * manner of SIGMA-I (Krawczyk 2003): the agent's identity is sent only to a collector that has
 * proved itself, and any byte that is altered on the way changes the transcript and with it a
 * signature or the keys.
 */
type AuthFrame = Extract<ClientFrame, { type: 'auth' }>;

const NONCE_BYTES = 32;

/** What both ends have after the hellos. */
export interface EstablishedSession {
  readonly version: number;
  readonly vaultId: VaultId;
  readonly keys: SessionKeys;
}

export interface ClientHandshakeOptions {
  readonly vaultId: VaultId;
  readonly authorityKey: Uint8Array;
  /**
   * The newest collector that this agent has talked to; anything older is refused. Persist the new
   * one after success.
   */
  readonly lastCollector?: { readonly generation: number; readonly collectorId: CollectorId };
  readonly random: Random;
  /** For tests; defaults to all that this release speaks. */
  readonly versions?: readonly number[];
}

/** What an agent says of itself in its `auth` frame. */
export interface HandshakeIdentity {
  readonly enrolment: Signed;
  readonly binding: Signed;
  readonly signKey: SigningKey;
  readonly chainId: ChainId;
  /** Program and version, for the operator's eyes. */
  readonly software: string;
  readonly treeHead: TreeHead | undefined;
  readonly signedHead: Signed | undefined;
  readonly signedHeadCertificate: Signed | undefined;
  /** Of the collector addresses that it has; 0: none. */
  readonly addressesRevision: number;
  /** Of the desk's settings that are in force; 0: none. */
  readonly settingsSequence: number;
}

/** The agent's end: `start`, `onServerHello`, `auth`, each once and in this order. */
export class ClientHandshake {
  readonly #options: ClientHandshakeOptions;
  readonly #versions: readonly number[];
  #hello: Uint8Array | undefined;
  #ephemeral: Agreement | undefined;
  #transcript: Uint8Array | undefined;

  constructor(options: ClientHandshakeOptions) {
    this.#options = options;
    this.#versions = options.versions ?? protocolVersions;
  }

  /** The first message of the connection. */
  start(): Uint8Array {
    if (this.#hello !== undefined) throw outOfTurn('start');
    this.#ephemeral = newAgreement(this.#options.random);
    const hello = encodeClientHello({
      versions: this.#versions,
      vaultId: this.#options.vaultId,
      nonce: this.#options.random.bytes(NONCE_BYTES),
      ephemeralKey: this.#ephemeral.publicKey,
    });
    this.#hello = hello;
    return hello;
  }

  /**
   * Verifies the collector and gives the session's keys with the certificate that it proved. Throws
   * SessionError.
   */
  onServerHello(bytes: Uint8Array): EstablishedSession & {
    readonly collector: CollectorCertificateBody;
    readonly certificate: Signed;
  } {
    const ephemeral = this.#ephemeral;
    if (this.#hello === undefined || ephemeral === undefined) throw outOfTurn('onServerHello');
    this.#ephemeral = undefined;
    const hello = decodeHello('collector', decodeServerHello, bytes);
    if (!this.#versions.includes(hello.version)) {
      throw new SessionError(
        'SESSION_VERSION',
        `the collector chose protocol version ${hello.version}, which was not offered`,
      );
    }
    const collector = acceptCollector(this.#options, hello.certificate);
    const transcript = serverTranscript(this.#hello, hello);
    if (
      !signatureHolds(collector.signKey, SERVER_SIGNATURE, {
        body: transcript,
        signature: hello.signature,
      })
    ) {
      throw new SessionError(
        'SESSION_COLLECTOR_SIGNATURE',
        'the collector did not prove its key: an impostor, or somebody on the way altered the handshake',
      );
    }
    const shared = agree(ephemeral, hello.ephemeralKey);
    this.#transcript = sessionTranscript(transcript, hello.signature);
    const keys = sessionKeys(shared, this.#transcript);
    return {
      version: hello.version,
      vaultId: this.#options.vaultId,
      keys,
      collector,
      certificate: hello.certificate,
    };
  }

  /** The `auth` frame: must be the first frame that the agent seals. */
  auth(identity: HandshakeIdentity): AuthFrame {
    const transcript = this.#transcript;
    if (transcript === undefined) throw outOfTurn('auth');
    this.#transcript = undefined;
    const { signKey, ...claimed } = identity;
    const { signature } = sign(signKey, CLIENT_SIGNATURE, clientTranscript(transcript, identity));
    return { type: 'auth', ...claimed, signature };
  }
}

/**
 * The collector behind a certificate, when this agent may believe it: certified for the vault, and
 * not one that another has succeeded. Throws SessionError.
 */
export function acceptCollector(
  {
    authorityKey,
    vaultId,
    lastCollector,
  }: Pick<ClientHandshakeOptions, 'authorityKey' | 'vaultId' | 'lastCollector'>,
  certificate: Signed,
): CollectorCertificateBody {
  let collector: CollectorCertificateBody;
  try {
    collector = verifyCollectorCertificate(authorityKey, vaultId, certificate);
  } catch (cause) {
    if (!(cause instanceof CertificateError)) throw cause;
    throw new SessionError(
      'SESSION_COLLECTOR_CERTIFICATE',
      `the collector is not one of this vault: ${cause.message}`,
      { cause },
    );
  }
  if (lastCollector === undefined || collector.generation > lastCollector.generation)
    return collector;
  if (
    collector.generation === lastCollector.generation &&
    equalBytes(collector.collectorId, lastCollector.collectorId)
  )
    return collector;
  throw new SessionError(
    'SESSION_COLLECTOR_GENERATION',
    `the collector is of generation ${collector.generation}, but this agent has already met another of generation ${lastCollector.generation}`,
  );
}

/** A vault as the collector's end of the handshake needs it. */
export interface ServedVault {
  readonly authorityKey: Uint8Array;
  readonly certificate: Signed;
}

export interface ServerHandshakeOptions {
  readonly signKey: SigningKey;
  /** The vault that an agent asks for, when this collector holds it. */
  readonly vault: (vaultId: VaultId) => ServedVault | undefined;
  readonly random: Random;
  /** For tests; defaults to all that this release speaks. */
  readonly versions?: readonly number[];
}

/**
 * The collector's end: `onClientHello`, then `verifyAuth` with the first frame that opens, each
 * once.
 */
export class ServerHandshake {
  readonly #options: ServerHandshakeOptions;
  readonly #versions: readonly number[];
  #started = false;
  #open:
    | {
        readonly vaultId: VaultId;
        readonly authorityKey: Uint8Array;
        readonly transcript: Uint8Array;
      }
    | undefined;

  constructor(options: ServerHandshakeOptions) {
    this.#options = options;
    this.#versions = options.versions ?? protocolVersions;
  }

  /**
   * The answer to send, and the session's keys. Nothing is known of the agent yet. Throws
   * SessionError.
   */
  onClientHello(bytes: Uint8Array): EstablishedSession & { readonly hello: Uint8Array } {
    if (this.#started) throw outOfTurn('onClientHello');
    this.#started = true;
    const offer = decodeHello('agent', decodeClientHello, bytes);
    const version = Math.max(...this.#versions.filter((known) => offer.versions.includes(known)));
    if (!Number.isFinite(version)) {
      throw new SessionError(
        'SESSION_VERSION',
        `the agent speaks protocol versions ${offer.versions.join(', ')}, this collector ${this.#versions.join(', ')}`,
      );
    }
    const vault = this.#options.vault(offer.vaultId);
    if (vault === undefined)
      throw new SessionError(
        'SESSION_UNKNOWN_VAULT',
        'the agent asks for a vault that this collector does not hold',
      );
    const ephemeral = newAgreement(this.#options.random);
    const shared = agree(ephemeral, offer.ephemeralKey);
    const hello = {
      version,
      nonce: this.#options.random.bytes(NONCE_BYTES),
      ephemeralKey: ephemeral.publicKey,
      certificate: vault.certificate,
    };
    const { body, signature } = sign(
      this.#options.signKey,
      SERVER_SIGNATURE,
      serverTranscript(bytes, hello),
    );
    const transcript = sessionTranscript(body, signature);
    this.#open = { vaultId: offer.vaultId, authorityKey: vault.authorityKey, transcript };
    return {
      version,
      vaultId: offer.vaultId,
      keys: sessionKeys(shared, transcript),
      hello: encodeServerHello({ ...hello, signature }),
    };
  }

  /**
   * Who the agent is, by its certificate and its signature over this very session. Whether it is
   * enrolled, revoked or replaced is for the caller to look up.
   */
  verifyAuth(frame: AuthFrame): AgentCertificate {
    const open = this.#open;
    if (open === undefined) throw outOfTurn('verifyAuth');
    this.#open = undefined;
    let agent: AgentCertificate;
    try {
      agent = verifyAgent(open.authorityKey, open.vaultId, frame.enrolment, frame.binding);
    } catch (cause) {
      if (!(cause instanceof CertificateError)) throw cause;
      throw new SessionError(
        'SESSION_AGENT_CERTIFICATE',
        `the agent is not one of this vault: ${cause.message}`,
        { cause },
      );
    }
    const body = clientTranscript(open.transcript, frame);
    if (
      !signatureHolds(agent.binding.signKey, CLIENT_SIGNATURE, { body, signature: frame.signature })
    ) {
      throw new SessionError(
        'SESSION_AGENT_SIGNATURE',
        `agent ${agent.enrolment.name} did not prove its key in this session`,
      );
    }
    return agent;
  }
}

function outOfTurn(step: string): SessionError {
  return new SessionError('SESSION_STATE', `the handshake step ${step} was called out of turn`);
}

function decodeHello<Hello>(
  who: string,
  decode: (bytes: Uint8Array) => Hello,
  bytes: Uint8Array,
): Hello {
  try {
    return decode(bytes);
  } catch (cause) {
    if (!(cause instanceof FormatError)) throw cause;
    throw new SessionError(
      'SESSION_MALFORMED',
      `the ${who}'s first message cannot be read: not Aliquot, or altered on the way`,
      { cause },
    );
  }
}

function agree(ephemeral: Agreement, otherKey: Uint8Array): Uint8Array {
  try {
    return ephemeral.agree(otherKey);
  } catch (cause) {
    if (!(cause instanceof CryptoError)) throw cause;
    throw new SessionError(
      'SESSION_WEAK_KEY',
      "the other side's ephemeral key is of low order: no secret can be agreed",
      { cause },
    );
  }
}
