import {
  decodeServerFrame,
  encodeClientFrame,
  encodeFrame,
  type ServerFrame,
  splitFrame,
} from '@aliquot/proto';
import { systemRandom } from '@aliquot/shared/ports';
import { FrameOpener, FrameSealer } from '@aliquot/shared/session/frames';
import { ClientHandshake } from '@aliquot/shared/session/handshake';
import type { SessionTestAgent } from '../../collector/testing/agent.ts';
import { RawPeer, webSocketFrame } from './raw-peer.ts';

/**
 * A proved session whose plaintext frames the test writes byte by byte, and whose every message is
 * recorded.
 */
export class EvilSession {
  readonly peer: RawPeer;
  /** Every message sent so far, as it went over the wire. */
  readonly recorded: Uint8Array[] = [];
  readonly #sealer: FrameSealer;
  readonly #opener: FrameOpener;

  private constructor(peer: RawPeer, sealer: FrameSealer, opener: FrameOpener) {
    this.peer = peer;
    this.#sealer = sealer;
    this.#opener = opener;
  }

  static async open(
    agent: SessionTestAgent,
    port: number,
    options: { address?: string; chainId?: Uint8Array } = {},
  ): Promise<EvilSession> {
    const session = await EvilSession.greet(agent, port, options);
    const ready = await session.answer();
    if (ready?.type !== 'ready') throw new Error(`${ready?.type} instead of ready`);
    return session;
  }

  /** As `open`, without waiting for the answer to its proof. */
  static async greet(
    agent: SessionTestAgent,
    port: number,
    options: { address?: string; chainId?: Uint8Array } = {},
  ): Promise<EvilSession> {
    const peer = await RawPeer.upgraded(port, options.address);
    const { descriptor } = agent.bundle;
    const handshake = new ClientHandshake({
      vaultId: descriptor.vaultId,
      authorityKey: descriptor.authorityKey,
      random: systemRandom,
    });
    const first = handshake.start();
    peer.write(webSocketFrame(first));
    const hello = await peer.frame();
    if (hello === undefined) throw new Error('closed instead of a hello');
    const { keys } = handshake.onServerHello(new Uint8Array(hello.payload));
    const session = new EvilSession(
      peer,
      new FrameSealer(keys, 'client'),
      new FrameOpener(keys, 'client'),
    );
    session.recorded.push(first);
    const auth = handshake.auth({
      enrolment: agent.bundle.signedEnrolment,
      binding: agent.binding,
      signKey: agent.signKey,
      chainId: (options.chainId ?? agent.chainId) as SessionTestAgent['chainId'],
      software: 'not ours',
      treeHead: undefined,
      signedHead: undefined,
      signedHeadCertificate: undefined,
      addressesRevision: 0,
      settingsSequence: 0,
    });
    session.write(encodeFrame(encodeClientFrame(auth), new Uint8Array(0)));
    return session;
  }

  /** Seals any plaintext and sends it; gives the sealed message. */
  write(plain: Uint8Array): Uint8Array {
    const message = this.seal(plain);
    this.peer.write(webSocketFrame(message));
    return message;
  }

  seal(plain: Uint8Array): Uint8Array {
    const message = this.#sealer.seal(plain);
    this.recorded.push(message);
    return message;
  }

  /** The next frame; undefined when the collector has closed. */
  async answer(): Promise<ServerFrame | undefined> {
    for (
      let frame = await this.peer.frame();
      frame !== undefined && frame.opcode !== 8;
      frame = await this.peer.frame()
    ) {
      if (frame.opcode === 2)
        return decodeServerFrame(
          splitFrame(this.#opener.open(new Uint8Array(frame.payload))).header,
        );
    }
    return undefined;
  }

  /** What the collector said last before it closed. */
  async lastWord(): Promise<ServerFrame | undefined> {
    let last: ServerFrame | undefined;
    for (let frame = await this.answer(); frame !== undefined; frame = await this.answer())
      last = frame;
    return last;
  }
}
