import {
  type ClientFrame,
  decodeClientFrame,
  decodeClientHello,
  decodeServerHello,
  encodeClientFrame,
  encodeClientHello,
  encodeServerHello,
  type VaultId,
} from '@aliquot/proto';
import { describe, expect, test } from 'vitest';
import { fixtureAgent, fixtureVault, seededRandom } from '../../testing/keys/fixtures.ts';
import { newBoxKey } from '../crypto/box.ts';
import { hex, utf8 } from '../crypto/bytes.ts';
import { equalBytes } from '../crypto/primitives.ts';
import { newSigningKey, sign } from '../crypto/sign.ts';
import { collectorIdOf } from '../keys/certificates.ts';
import { FrameOpener, FrameSealer } from './frames.ts';
import {
  ClientHandshake,
  type ClientHandshakeOptions,
  type HandshakeIdentity,
  ServerHandshake,
  type ServerHandshakeOptions,
} from './handshake.ts';
import { SERVER_SIGNATURE, serverTranscript } from './transcript.ts';

const vault = fixtureVault('handshake');
const foreign = fixtureVault('handshake foreign');
const agent = fixtureAgent(vault, 'hplc-7');
const { authorityKey, vaultId } = vault.descriptor;
const served = { authorityKey, certificate: vault.collectorCertificate };
const code = (value: unknown) => expect.objectContaining({ code: value });

function client(change: Partial<ClientHandshakeOptions> = {}): ClientHandshake {
  return new ClientHandshake({ vaultId, authorityKey, random: vault.random, ...change });
}

function server(change: Partial<ServerHandshakeOptions> = {}): ServerHandshake {
  return new ServerHandshake({
    signKey: vault.collector,
    vault: (id) => (equalBytes(id, vaultId) ? served : undefined),
    random: vault.random,
    ...change,
  });
}

function identity(change: Partial<HandshakeIdentity> = {}): HandshakeIdentity {
  const { enrolment, binding, signKey, chainId } = agent;
  const heads = {
    treeHead: undefined,
    signedHead: undefined,
    signedHeadCertificate: undefined,
    addressesRevision: 0,
    settingsSequence: 0,
  };
  return {
    enrolment,
    binding,
    signKey,
    chainId,
    software: 'aliquot-agent 0.1.0',
    ...heads,
    ...change,
  };
}

type Tamper = (bytes: Uint8Array) => Uint8Array;
const untouched: Tamper = (bytes) => bytes;
const flip =
  (at: number): Tamper =>
  (bytes) => {
    const altered = bytes.slice();
    altered[at] = (altered[at] ?? 0) ^ 1;
    return altered;
  };

type Who = 'client' | 'server';

/**
 * A whole handshake through somebody in the middle. Says who refused and why, or gives both ends of
 * the session.
 */
function run(
  middle: { clientHello?: Tamper; serverHello?: Tamper; auth?: Tamper } = {},
  ends: { client?: ClientHandshake; server?: ServerHandshake } = {},
) {
  const agentEnd = ends.client ?? client();
  const collectorEnd = ends.server ?? server();
  let turn: Who = 'client';
  try {
    const clientHello = (middle.clientHello ?? untouched)(agentEnd.start());
    turn = 'server';
    const answer = collectorEnd.onClientHello(clientHello);
    turn = 'client';
    const session = agentEnd.onServerHello((middle.serverHello ?? untouched)(answer.hello));
    const sealed = new FrameSealer(session.keys, 'client').seal(
      encodeClientFrame(agentEnd.auth(identity())),
    );
    turn = 'server';
    const frame = decodeClientFrame(
      new FrameOpener(answer.keys, 'server').open((middle.auth ?? untouched)(sealed)),
    );
    if (frame.type !== 'auth') throw new Error('not an auth frame');
    return { refusedBy: undefined, agent: collectorEnd.verifyAuth(frame), session, answer };
  } catch (error) {
    return { refusedBy: turn, error };
  }
}

describe('handshake', () => {
  test('gives both ends the same keys, and each the other’s proved identity', () => {
    const result = run();
    if (result.refusedBy !== undefined) throw result.error;
    expect(result.session.keys).toEqual(result.answer.keys);
    expect(result.session.keys.clientToServer).not.toEqual(result.session.keys.serverToClient);
    expect(result.session.collector.signKey).toEqual(vault.collector.publicKey);
    expect(result.session.version).toBe(1);
    expect(result.agent.enrolment.name).toBe('hplc-7');
    expect(result.answer.vaultId).toEqual(vaultId);
  });

  test('every session has keys of its own', () => {
    const [first, second] = [run(), run()];
    if (first.refusedBy !== undefined || second.refusedBy !== undefined) throw new Error('refused');
    expect(first.session.keys).not.toEqual(second.session.keys);
  });

  test('neither hello tells who the agent is', () => {
    const seen: string[] = [];
    const listen: Tamper = (bytes) => {
      seen.push(hex(bytes));
      return bytes;
    };
    run({ clientHello: listen, serverHello: listen, auth: listen });
    expect(seen.length).toBe(3);
    for (const secret of [agent.agentId, agent.signKey.publicKey, agent.chainId, utf8('hplc-7')]) {
      for (const bytes of seen) expect(bytes).not.toContain(hex(secret));
    }
  });

  test('ephemeral secrets are overwritten on both sides', () => {
    const given: Uint8Array[] = [];
    const inner = seededRandom('watched');
    const random = {
      bytes(count: number) {
        const drawn = inner.bytes(count);
        given.push(drawn);
        return drawn;
      },
    };
    expect(
      run({}, { client: client({ random }), server: server({ random }) }).refusedBy,
    ).toBeUndefined();
    // Each side draws its ephemeral secret, then its nonce.
    expect(given.filter((drawn) => drawn.every((byte) => byte === 0)).length).toBe(2);
  });

  test('steps out of turn are refused', () => {
    const wrong = code('SESSION_STATE');
    const begun = client();
    begun.start();
    expect(() => begun.start()).toThrowError(wrong);
    expect(() => begun.auth(identity())).toThrowError(wrong);
    expect(() => client().onServerHello(new Uint8Array(0))).toThrowError(wrong);
    const collectorEnd = server();
    expect(() => collectorEnd.verifyAuth(encodableAuth())).toThrowError(wrong);
    collectorEnd.onClientHello(client().start());
    expect(() => collectorEnd.onClientHello(client().start())).toThrowError(wrong);
  });
});

/** An auth frame of some other session, as a thief may have kept it. */
function encodableAuth(): Extract<ClientFrame, { type: 'auth' }> {
  const agentEnd = client();
  agentEnd.onServerHello(server().onClientHello(agentEnd.start()).hello);
  return agentEnd.auth(identity());
}

describe('P5: somebody in the middle', () => {
  const lengths = { clientHello: 0, serverHello: 0, auth: 0 };
  const measure =
    (name: keyof typeof lengths): Tamper =>
    (bytes) => {
      lengths[name] = bytes.length;
      return bytes;
    };
  run({
    clientHello: measure('clientHello'),
    serverHello: measure('serverHello'),
    auth: measure('auth'),
  });

  test('who alters any byte of the agent’s hello is refused by one side or the other', () => {
    for (let at = 0; at < lengths.clientHello; at += 1) {
      const result = run({ clientHello: flip(at) });
      expect(result, `byte ${at}`).toMatchObject({
        error: { code: expect.stringMatching(/^SESSION_/) },
      });
    }
  });

  test('who alters any byte of the collector’s hello is refused by the agent', () => {
    // The same randomness gives the same hello again, so one genuine answer serves for every
    // altered copy of it.
    const again = () => client({ random: seededRandom('same hello') });
    const { hello } = server().onClientHello(again().start());
    for (let at = -1; at < lengths.serverHello; at += 1) {
      const agentEnd = again();
      agentEnd.start();
      const receive = () => agentEnd.onServerHello(at < 0 ? hello : flip(at)(hello));
      if (at < 0) expect(receive).not.toThrow();
      else expect(receive, `byte ${at}`).toThrowError(code(expect.stringMatching(/^SESSION_/)));
    }
  });

  test('who alters any byte of the sealed auth is refused by the collector', () => {
    const [agentEnd, collectorEnd] = [client(), server()];
    const answer = collectorEnd.onClientHello(agentEnd.start());
    const session = agentEnd.onServerHello(answer.hello);
    const sealed = new FrameSealer(session.keys, 'client').seal(
      encodeClientFrame(agentEnd.auth(identity())),
    );
    for (let at = 0; at < sealed.length; at += 1) {
      expect(
        () => new FrameOpener(answer.keys, 'server').open(flip(at)(sealed)),
        `byte ${at}`,
      ).toThrowError(code('SESSION_FRAME'));
    }
  });

  test.each(Object.keys(lengths) as (keyof typeof lengths)[])(
    'who truncates %s, or adds to it, is refused',
    (message) => {
      for (const length of [0, 1, 33, lengths[message] - 1]) {
        expect(
          run({ [message]: (bytes: Uint8Array) => bytes.subarray(0, length) }).refusedBy,
          `${length} bytes`,
        ).toBeDefined();
      }
      expect(
        run({ [message]: (bytes: Uint8Array) => Uint8Array.of(...bytes, 0) }).refusedBy,
      ).toBeDefined();
    },
  );

  test('who puts own ephemeral keys in place is refused by the agent', () => {
    const mine = newBoxKey(vault.random).publicKey;
    const toCollector = run({
      clientHello: (bytes) =>
        encodeClientHello({ ...decodeClientHello(bytes), ephemeralKey: mine }),
    });
    expect(toCollector).toMatchObject({
      refusedBy: 'client',
      error: { code: 'SESSION_COLLECTOR_SIGNATURE' },
    });
    const toAgent = run({
      serverHello: (bytes) =>
        encodeServerHello({ ...decodeServerHello(bytes), ephemeralKey: mine }),
    });
    expect(toAgent).toMatchObject({
      refusedBy: 'client',
      error: { code: 'SESSION_COLLECTOR_SIGNATURE' },
    });
  });

  test('who takes the better version from the offer is refused: the transcript holds what was offered', () => {
    const versions = [1, 2];
    const ends = () => ({ client: client({ versions }), server: server({ versions }) });
    const honest = run({}, ends());
    expect(honest.refusedBy === undefined && honest.session.version).toBe(2);
    const downgraded = run(
      { clientHello: (bytes) => encodeClientHello({ ...decodeClientHello(bytes), versions: [1] }) },
      ends(),
    );
    expect(downgraded).toMatchObject({
      refusedBy: 'client',
      error: { code: 'SESSION_COLLECTOR_SIGNATURE' },
    });
    const rewritten = run(
      { serverHello: (bytes) => encodeServerHello({ ...decodeServerHello(bytes), version: 1 }) },
      ends(),
    );
    expect(rewritten).toMatchObject({
      refusedBy: 'client',
      error: { code: 'SESSION_COLLECTOR_SIGNATURE' },
    });
  });

  test('who replays the collector’s answer from an earlier session is refused by the agent', () => {
    let recorded: Uint8Array | undefined;
    run({
      serverHello: (bytes) => {
        recorded = bytes;
        return bytes;
      },
    });
    expect(run({ serverHello: (bytes) => recorded ?? bytes })).toMatchObject({
      refusedBy: 'client',
      error: { code: 'SESSION_COLLECTOR_SIGNATURE' },
    });
  });

  test('who replays the agent’s sealed auth in another session is refused by the collector', () => {
    let recorded: Uint8Array | undefined;
    run({
      auth: (bytes) => {
        recorded = bytes;
        return bytes;
      },
    });
    expect(run({ auth: (bytes) => recorded ?? bytes })).toMatchObject({
      refusedBy: 'server',
      error: { code: 'SESSION_FRAME' },
    });
  });

  test('an agent’s auth, even opened by a dishonest collector, proves nothing in another session', () => {
    const stolen = encodableAuth();
    const collectorEnd = server();
    collectorEnd.onClientHello(client().start());
    expect(() => collectorEnd.verifyAuth(stolen)).toThrowError(code('SESSION_AGENT_SIGNATURE'));
  });
});

describe('the agent refuses', () => {
  test('a collector that another authority certified', () => {
    const result = run(
      {},
      {
        server: server({
          signKey: foreign.collector,
          vault: () => ({ authorityKey, certificate: foreign.collectorCertificate }),
        }),
      },
    );
    expect(result).toMatchObject({
      refusedBy: 'client',
      error: { code: 'SESSION_COLLECTOR_CERTIFICATE', retryable: false },
    });
  });

  test('an impostor who shows the collector’s certificate without its key', () => {
    const result = run({}, { server: server({ signKey: newSigningKey(vault.random) }) });
    expect(result).toMatchObject({
      refusedBy: 'client',
      error: { code: 'SESSION_COLLECTOR_SIGNATURE' },
    });
  });

  test('an older collector than it has met, and another one of the same generation; it accepts a successor', () => {
    const successor = newSigningKey(vault.random);
    const collectorId = collectorIdOf(successor.publicKey);
    const lastCollector = { generation: 2, collectorId };
    const older = run({}, { client: client({ lastCollector }) });
    expect(older).toMatchObject({
      refusedBy: 'client',
      error: { code: 'SESSION_COLLECTOR_GENERATION', retryable: false },
    });
    const twin = run({}, { client: client({ lastCollector: { generation: 1, collectorId } }) });
    expect(twin).toMatchObject({
      refusedBy: 'client',
      error: { code: 'SESSION_COLLECTOR_GENERATION' },
    });
    const same = run(
      {},
      {
        client: client({
          lastCollector: { generation: 1, collectorId: collectorIdOf(vault.collector.publicKey) },
        }),
      },
    );
    expect(same.refusedBy).toBeUndefined();
    const succeeded = { authorityKey, certificate: vault.certify(successor, 3) };
    expect(
      run(
        {},
        {
          client: client({ lastCollector }),
          server: server({ signKey: successor, vault: () => succeeded }),
        },
      ).refusedBy,
    ).toBeUndefined();
  });

  test('a version that it did not offer', () => {
    const result = run(
      {},
      { server: server({ versions: [1] }), client: client({ versions: [1] }) },
    );
    expect(result.refusedBy).toBeUndefined();
    const chosen = run({
      serverHello: (bytes) => encodeServerHello({ ...decodeServerHello(bytes), version: 9 }),
    });
    expect(chosen).toMatchObject({ refusedBy: 'client', error: { code: 'SESSION_VERSION' } });
  });

  test('an ephemeral key of low order, as does the collector', () => {
    const low = run({
      clientHello: (bytes) =>
        encodeClientHello({ ...decodeClientHello(bytes), ephemeralKey: new Uint8Array(32) }),
    });
    expect(low).toMatchObject({ refusedBy: 'server', error: { code: 'SESSION_WEAK_KEY' } });
    const agentEnd = client();
    const clientHello = agentEnd.start();
    const body = {
      version: 1,
      nonce: vault.random.bytes(32),
      ephemeralKey: new Uint8Array(32),
      certificate: vault.collectorCertificate,
    };
    const { signature } = sign(
      vault.collector,
      SERVER_SIGNATURE,
      serverTranscript(clientHello, body),
    );
    expect(() => agentEnd.onServerHello(encodeServerHello({ ...body, signature }))).toThrowError(
      code('SESSION_WEAK_KEY'),
    );
  });
});

describe('the collector refuses', () => {
  test('an agent that speaks no version of its own', () => {
    const result = run({}, { client: client({ versions: [7, 8] }) });
    expect(result).toMatchObject({
      refusedBy: 'server',
      error: { code: 'SESSION_VERSION', retryable: false },
    });
  });

  test('a vault that it does not hold', () => {
    const elsewhere = vault.random.bytes(16) as VaultId;
    const result = run({}, { client: client({ vaultId: elsewhere }) });
    expect(result).toMatchObject({
      refusedBy: 'server',
      error: { code: 'SESSION_UNKNOWN_VAULT', retryable: false },
    });
  });

  test('bytes that are no hello', () => {
    for (const bytes of [new Uint8Array(0), utf8('GET / HTTP/1.1'), vault.random.bytes(200)]) {
      expect(() => server().onClientHello(bytes)).toThrowError(code('SESSION_MALFORMED'));
    }
  });

  test('an agent of another vault, an agent without its key, and an agent with another’s certificate', () => {
    const auth = (change: Partial<HandshakeIdentity>) => () => {
      const [agentEnd, collectorEnd] = [client(), server()];
      agentEnd.onServerHello(collectorEnd.onClientHello(agentEnd.start()).hello);
      return collectorEnd.verifyAuth(agentEnd.auth(identity(change)));
    };
    const stranger = fixtureAgent(foreign, 'hplc-7');
    const neighbour = fixtureAgent(vault, 'gc-2');
    expect(auth({})).not.toThrow();
    expect(
      auth({ enrolment: stranger.enrolment, binding: stranger.binding, signKey: stranger.signKey }),
    ).toThrowError(code('SESSION_AGENT_CERTIFICATE'));
    expect(auth({ binding: neighbour.binding })).toThrowError(code('SESSION_AGENT_CERTIFICATE'));
    expect(auth({ enrolment: neighbour.enrolment, binding: neighbour.binding })).toThrowError(
      code('SESSION_AGENT_SIGNATURE'),
    );
    expect(auth({ signKey: newSigningKey(vault.random) })).toThrowError(
      code('SESSION_AGENT_SIGNATURE'),
    );
  });

  test('an auth frame whose chain was changed after it was signed', () => {
    const [agentEnd, collectorEnd] = [client(), server()];
    agentEnd.onServerHello(collectorEnd.onClientHello(agentEnd.start()).hello);
    const frame = { ...agentEnd.auth(identity()), chainId: fixtureAgent(vault, 'gc-2').chainId };
    expect(() => collectorEnd.verifyAuth(frame)).toThrowError(code('SESSION_AGENT_SIGNATURE'));
  });
});
