import { type ChunkId, encodeClientFrame, encodeFrame } from '@aliquot/proto';
import { sha256 } from '@aliquot/shared/crypto/primitives';
import { systemRandom } from '@aliquot/shared/ports';
import { ClientHandshake } from '@aliquot/shared/session/handshake';
import { commitAttacks } from './commit-attacks.ts';
import { EvilSession } from './evil-session.ts';
import { RawPeer, upgradeRequest, webSocketFrame } from './raw-peer.ts';
import { renewing } from './renewing.ts';
import type { Attack, Siege } from './siege.ts';

const MIB = 1024 * 1024;
/** As many connections are begun at once: a test machine's own limits are not what is measured. */
const AT_ONCE = 200;
const EMPTY = new Uint8Array(0);

const address = (index: number, of: number): string => `127.0.0.${2 + (index % of)}`;

async function peers(
  count: number,
  open: (index: number) => Promise<RawPeer>,
): Promise<{ open: RawPeer[]; refused: number }> {
  const opened: RawPeer[] = [];
  let refused = 0;
  for (let from = 0; from < count; from += AT_ONCE) {
    const batch = Array.from({ length: Math.min(AT_ONCE, count - from) }, (_, index) =>
      open(from + index),
    );
    for (const result of await Promise.allSettled(batch)) {
      if (result.status === 'fulfilled') opened.push(result.value);
      else refused += 1;
    }
  }
  return { open: opened, refused };
}

/** Holds connections open, lets others be looked at meanwhile, and lets go. */
async function held(
  opened: { open: RawPeer[]; refused: number },
  midway: () => Promise<void>,
): Promise<string> {
  try {
    await midway();
    const alive = opened.open.filter((peer) => !peer.closed).length;
    return `${alive} were open, ${opened.refused + opened.open.length - alive} were refused or ended`;
  } finally {
    for (const peer of opened.open) peer.end();
  }
}

/** Writes again and again until enough was taken, or the collector stops taking it. */
async function flood(peer: RawPeer, bytes: Uint8Array, times: number): Promise<number> {
  let given = 0;
  for (; given < times && !peer.closed; given += 1) {
    const stuck = new Promise<boolean>((resolve) => setTimeout(() => resolve(false), 2_000));
    if (!(await Promise.race([peer.give(bytes), stuck]))) break;
  }
  return given;
}

async function unread(
  siege: Siege,
  frame: (index: number) => Uint8Array,
  force: number,
  midway: () => Promise<void>,
): Promise<string> {
  const session = await EvilSession.open(siege.evil, siege.target.port);
  session.peer.deafen();
  let sent = 0;
  for (; sent < force; sent += 1)
    if ((await flood(session.peer, webSocketFrame(session.seal(frame(sent))), 1)) === 0) break;
  const remark = await held({ open: [session.peer], refused: 0 }, midway);
  return `${sent} of ${force} were taken; ${remark}`;
}

const randomIds = (count: number): ChunkId[] =>
  Array.from({ length: count }, () => systemRandom.bytes(32) as ChunkId);

/** Connections of the agents' own address that are begun again whenever they end. */
function renewed(name: string, what: string, text: string): Attack {
  return {
    name: `renewed-${name}`,
    about: `{} connections of the agents' own address that ${what}, begun again whenever they end`,
    force: 2000,
    run: async ({ target }, force, midway) => {
      const lift = await renewing(target.port, force, text);
      try {
        await midway();
      } finally {
        lift();
      }
      return 'all were open';
    },
  };
}

export const attacks: readonly Attack[] = [
  renewed('upgrades', 'become WebSockets', upgradeRequest()),
  renewed('answers', 'are answered', 'GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n'),
  {
    name: 'half-handshakes-from-one-address',
    about: '{} connections of one address that become WebSockets and say nothing more',
    force: 5000,
    run: async ({ target }, force, midway) =>
      held(await peers(force, () => RawPeer.upgraded(target.port, '127.0.0.2')), midway),
  },
  {
    name: 'half-handshakes-from-60-addresses',
    about:
      '{} of them from 60 addresses, each with a quarter of a megabyte of a hello that never ends',
    force: 5000,
    run: async ({ target }, force, midway) => {
      const opened = await peers(force, (index) =>
        RawPeer.upgraded(target.port, address(index, 60)),
      );
      const part = webSocketFrame(Buffer.alloc(250 * 1024), { claims: BigInt(8 * MIB) });
      for (const peer of opened.open) await flood(peer, part, 1);
      return held(opened, midway);
    },
  },
  {
    name: 'hellos-without-end',
    about: '{} true hellos, so that keys are made and certificates signed for nobody',
    force: 2000,
    run: async ({ target, evil }, force, midway) => {
      const { descriptor } = evil.bundle;
      const opened = await peers(force, async (index) => {
        const peer = await RawPeer.upgraded(target.port, address(index, 30));
        const handshake = new ClientHandshake({
          vaultId: descriptor.vaultId,
          authorityKey: descriptor.authorityKey,
          random: systemRandom,
        });
        peer.write(webSocketFrame(handshake.start()));
        return peer;
      });
      return held(opened, midway);
    },
  },
  {
    name: 'proofs-without-end',
    about: '{} whole handshakes of one agent, whose sessions nobody waits for',
    force: 2000,
    run: async ({ target, evil }, force, midway) => {
      const opened = await peers(force, async (index) => {
        const from = { address: address(index, 30) };
        return (await EvilSession.greet(evil, target.port, from)).peer;
      });
      return held(opened, midway);
    },
  },
  {
    name: 'slow-requests',
    about:
      '{} connections from 30 addresses that send the head of an HTTP request a byte at a time',
    force: 6000,
    run: async ({ target }, force, midway) => {
      const opened = await peers(force, (index) =>
        RawPeer.connect(target.port, address(index, 30)),
      );
      for (const byte of 'GET / HTTP/1.1\r\nX-A: ')
        for (const peer of opened.open) peer.write(byte);
      return held(opened, midway);
    },
  },
  {
    name: 'enrolments',
    about: '{} enrolment requests of 120 KiB of rubbish',
    force: 2000,
    run: async ({ target }, force, midway) => {
      const body = Buffer.from(systemRandom.bytes(120 * 1024));
      const head = `POST /v1/enrol HTTP/1.1\r\nHost: x\r\nContent-Type: application/octet-stream\r\nContent-Length: ${body.length}\r\n\r\n`;
      const request = Buffer.concat([Buffer.from(head), body]);
      const opened = await peers(Math.min(force, 100), (index) =>
        RawPeer.connect(target.port, address(index, 30)),
      );
      await Promise.all(
        opened.open.map((peer) => flood(peer, request, Math.ceil(force / opened.open.length))),
      );
      return held(opened, midway);
    },
  },
  {
    name: 'enrolments-without-end',
    about: '{} enrolments of 16 KiB that lack their last byte, from 8 addresses',
    force: 4000,
    run: async ({ target }, force, midway) => {
      const type = 'Content-Type: application/octet-stream';
      const head = `POST /v1/enrol HTTP/1.1\r\nHost: x\r\n${type}\r\nContent-Length: 16384\r\n\r\n`;
      const most = Buffer.from(`${head}${'x'.repeat(16_383)}`);
      const opened = await peers(force, async (index) => {
        const peer = await RawPeer.connect(target.port, address(index, 8));
        peer.write(most);
        return peer;
      });
      return held(opened, midway);
    },
  },
  {
    name: 'bodies-without-end',
    about:
      '{} requests to operator endpoints, without the token, whose bodies claim a terabyte and send 4 MiB',
    force: 200,
    run: async ({ target }, force, midway) => {
      const head =
        'POST /v1/operator/vaults HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1099511627776\r\n\r\n';
      const opened = await peers(force, async (index) => {
        const peer = await RawPeer.connect(target.port, address(index, 30));
        peer.write(head);
        return peer;
      });
      for (const peer of opened.open) await flood(peer, Buffer.alloc(MIB, 0x20), 4);
      return held(opened, midway);
    },
  },
  {
    name: 'a-million-ids',
    about: '{} questions for 4,096 ids each, whose answers are never read',
    force: 245,
    run: (siege, force, midway) => {
      const ids = randomIds(4096);
      return unread(
        siege,
        (index) =>
          encodeFrame(encodeClientFrame({ type: 'have', requestId: index + 1, ids }), EMPTY),
        force,
        midway,
      );
    },
  },
  {
    name: 'questions-without-end',
    about: '{} questions for 4,096 ids each, by four sessions that read each answer',
    force: 200,
    run: async ({ target, evil }, force, midway) => {
      const ids = randomIds(4096);
      let asked = 0;
      const asking = async (): Promise<RawPeer> => {
        const chainId = systemRandom.bytes(16);
        const session = await EvilSession.open(evil, target.port, { chainId });
        while (asked < force) {
          asked += 1;
          const frame = encodeClientFrame({ type: 'have', requestId: asked, ids });
          session.write(encodeFrame(frame, EMPTY));
          if ((await session.answer())?.type !== 'haveAnswer') break;
        }
        return session.peer;
      };
      const [open] = await Promise.all([Promise.all(Array.from({ length: 4 }, asking)), midway()]);
      return held({ open, refused: 0 }, async () => undefined);
    },
  },
  {
    name: 'tiny-frames',
    about: '{} frames with one id each, whose answers are never read',
    force: 50_000,
    run: async (siege, force, midway) => {
      const session = await EvilSession.open(siege.evil, siege.target.port);
      session.peer.deafen();
      const ids = randomIds(1);
      const BATCH = 500;
      let sent = 0;
      for (; sent < force; sent += BATCH) {
        const some = Array.from({ length: BATCH }, (_, index) =>
          webSocketFrame(
            session.seal(
              encodeFrame(
                encodeClientFrame({ type: 'have', requestId: sent + index + 1, ids }),
                EMPTY,
              ),
            ),
          ),
        );
        if ((await flood(session.peer, Buffer.concat(some), 1)) === 0) break;
      }
      return `${sent} were taken; ${await held({ open: [session.peer], refused: 0 }, midway)}`;
    },
  },
  {
    name: 'pings',
    about: '{} times 512 pings whose pongs are never read',
    force: 2000,
    run: async ({ target, evil }, force, midway) => {
      const session = await EvilSession.open(evil, target.port);
      session.peer.deafen();
      const pings = Buffer.concat(
        Array.from({ length: 512 }, () => webSocketFrame(Buffer.alloc(125), { opcode: 9 })),
      );
      const taken = await flood(session.peer, pings, force);
      return `${taken} were taken; ${await held({ open: [session.peer], refused: 0 }, midway)}`;
    },
  },
  {
    name: 'fragments',
    about: 'one message in {} times 4,096 fragments of one byte',
    force: 500,
    run: async ({ target, evil }, force, midway) => {
      const session = await EvilSession.open(evil, target.port);
      session.peer.write(webSocketFrame(Buffer.alloc(1), { fin: false }));
      const some = Buffer.concat(
        Array.from({ length: 4096 }, () =>
          webSocketFrame(Buffer.alloc(1), { opcode: 0, fin: false }),
        ),
      );
      const taken = await flood(session.peer, some, force);
      return `${taken} were taken; ${await held({ open: [session.peer], refused: 0 }, midway)}`;
    },
  },
  {
    name: 'sessions-of-one-agent',
    about:
      '{} proved sessions of one agent, each announcing another chain, each with 8 MiB under way that is never finished',
    force: 100,
    run: async ({ target, evil }, force, midway) => {
      const opened = await peers(force, async (index) => {
        const session = await EvilSession.open(evil, target.port, {
          address: address(index, 30),
          chainId: systemRandom.bytes(16),
        });
        session.peer.deafen();
        return session.peer;
      });
      const part = webSocketFrame(Buffer.alloc(4 * MIB), { claims: BigInt(8 * MIB) });
      for (const peer of opened.open) await flood(peer, part, 1);
      return held(opened, midway);
    },
  },
  {
    name: 'sessions-again-and-again',
    about: '{} proved sessions of one agent, each ended at once',
    force: 2000,
    run: async ({ target, evil }, force, midway) => {
      for (let done = 0; done < force; done += 1)
        (await EvilSession.open(evil, target.port)).peer.end();
      await midway();
      return `${force} sessions`;
    },
  },
  {
    name: 'uploads-never-committed',
    about: '{} MiB of chunks that no commit ever names',
    force: 512,
    run: async ({ target, evil }, force, midway) => {
      const session = await EvilSession.open(evil, target.port);
      let taken = 0;
      for (; taken < force; taken += 1) {
        const bytes = systemRandom.bytes(MIB);
        const items = [
          { id: sha256(bytes) as ChunkId, kind: 'chunk' as const, size: bytes.length },
        ];
        session.write(encodeFrame(encodeClientFrame({ type: 'chunks', items }), bytes));
        if ((await session.answer())?.type !== 'credit') break;
      }
      return `${taken} MiB were taken; ${await held({ open: [session.peer], refused: 0 }, midway)}`;
    },
  },
  ...commitAttacks,
];
