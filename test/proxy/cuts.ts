import { randomBytes } from 'node:crypto';
import type { SeededRandom } from '@aliquot/shared/testing/random';
import { type SampleFile, sampleFile } from '../../agent/testing/queue/support.ts';
import { Pair, type PairAgent } from '../pair/pair.ts';
import { ElasticTimers } from './elastic-timers.ts';
import type { Direction } from './frames.ts';
import { type Handler, Relay, type RelayLine } from './relay.ts';

/**
 * Where in a frame the cable breaks: one byte behind its beginning, in the middle, one byte before
 * its end, at its end.
 */
export const places = ['first', 'middle', 'before-end', 'end'] as const;

export interface Cut {
  readonly direction: Direction;
  readonly frame: number;
  readonly place: (typeof places)[number] | number;
  /** With a reset instead of an end. */
  readonly hard: boolean;
}

export const nameOf = ({ direction, frame, place, hard }: Cut): string =>
  `${hard ? 'reset' : 'cut'} ${direction}, frame ${frame}, ${typeof place === 'number' ? `byte ${place}` : place}`;

/** Breaks a line once, at this place. */
export function cutAt(cut: Cut, done: () => void): (line: RelayLine) => Handler {
  return (line) =>
    async ({ direction, frame, frameBytes, offset, bytes }) => {
      if (line.broken) return;
      const at =
        direction === cut.direction && frame === cut.frame
          ? bytesBefore(cut.place, frameBytes) - offset
          : Number.NaN;
      if (!(at >= 0 && at <= bytes.length)) return line.pass(direction, bytes);
      await line.pass(direction, bytes.subarray(0, at));
      done();
      if (cut.hard) line.reset();
      else line.cut();
    };
}

function bytesBefore(place: Cut['place'], frameBytes: number): number {
  if (typeof place === 'number') return place % (frameBytes + 1);
  return { first: 1, middle: frameBytes >> 1, 'before-end': frameBytes - 1, end: frameBytes }[
    place
  ];
}

/** What one session is made of. */
export interface Recording {
  /** Frames with their sizes, in each direction. */
  readonly frames: Readonly<Record<Direction, readonly number[]>>;
}

/**
 * A pair with a proxy between them, and one agent whose sessions are broken one after the other.
 */
export class CutBench {
  readonly pair: Pair;
  readonly relay: Relay;
  readonly agent: PairAgent;
  readonly timers: ElasticTimers;
  readonly #shape: Shape;
  #sessions = 0;
  /** Bytes that the last session sent to the collector, with all its attempts. */
  sentBytes = 0;

  private constructor(
    pair: Pair,
    relay: Relay,
    agent: PairAgent,
    timers: ElasticTimers,
    shape: Shape,
  ) {
    this.pair = pair;
    this.relay = relay;
    this.agent = agent;
    this.timers = timers;
    this.#shape = shape;
  }

  static async open(shape: Shape = small): Promise<CutBench> {
    const pair = await Pair.open();
    const relay = await Relay.open(pair.url);
    const timers = new ElasticTimers();
    return new CutBench(
      pair,
      relay,
      await pair.agent('cut', { url: relay.url, timers }),
      timers,
      shape,
    );
  }

  async close(): Promise<void> {
    await this.pair.close();
    await this.relay.close();
  }

  /** New files for one session. */
  files(): readonly SampleFile[] {
    this.#sessions += 1;
    const { files, chunks, chunkBytes } = this.#shape;
    return Array.from({ length: files }, (_, index) =>
      sampleFile(
        `/data/${this.#sessions}/${index}`,
        // What is in them decides nothing, so no seed has to repeat it.
        Array.from({ length: chunks }, () => randomBytes(chunkBytes)),
      ),
    );
  }

  /** One session from connect to end that nobody disturbs. */
  async record(): Promise<Recording> {
    const frames: Record<Direction, number[]> = { 'to-collector': [], 'to-agent': [] };
    this.relay.handle = (line) => async (piece) => {
      if (piece.offset === 0) frames[piece.direction].push(piece.frameBytes);
      await line.pass(piece.direction, piece.bytes);
    };
    await this.session();
    return { frames };
  }

  /**
   * One session that is cut once; the next ones are whole. Answers false when the session never
   * came to that place.
   */
  async cut(cut: Cut): Promise<boolean> {
    let happened = false;
    const breaking = cutAt(cut, () => {
      happened = true;
    });
    const first = this.relay.connections;
    this.relay.handle = (line) =>
      line.number === first
        ? breaking(line)
        : ({ direction, bytes }) => line.pass(direction, bytes);
    await this.session();
    return happened;
  }

  /**
   * A session of two commits, a heartbeat between them, and whatever reconnects it takes; then
   * everything must hold.
   */
  async session(): Promise<void> {
    const { agent } = this;
    const [one, ...rest] = this.files();
    if (one === undefined) throw new RangeError('a session needs a file');
    await agent.capture(one);
    const before = this.relay.sentBytes;
    agent.start();
    try {
      await agent.uplink.drained();
      // A heartbeat that is cut is not repeated: the next one says the same.
      await agent.uplink
        .heartbeat({ files: 1, bytes: 1, unprotected: 0, pending: 0, unsettled: 0, problems: [] })
        .catch(() => undefined);
      await agent.capture(...rest);
      await agent.uplink.drained();
      await agent.mustHold([one, ...rest]);
    } finally {
      await agent.stop();
      this.sentBytes = this.relay.sentBytes - before;
    }
  }
}

/** What one session has to bring. */
export interface Shape {
  readonly files: number;
  readonly chunks: number;
  readonly chunkBytes: number;
}

const small: Shape = { files: 2, chunks: 3, chunkBytes: 400 };

/** Every boundary of every frame of a recorded session, and the bytes around it. */
export function everyBoundary({ frames }: Recording): Cut[] {
  return (['to-collector', 'to-agent'] as const).flatMap((direction) =>
    frames[direction].flatMap((_size, frame) =>
      places.map((place): Cut => ({ direction, frame, place, hard: false })),
    ),
  );
}

/** Somewhere in a recorded session. */
export function anywhere({ frames }: Recording, random: SeededRandom): Cut {
  const direction = random.pick(['to-collector', 'to-agent'] as const);
  const sizes = frames[direction];
  let byte = random.below(sizes.reduce((sum, size) => sum + size, 0));
  let frame = 0;
  for (const size of sizes) {
    if (byte < size) break;
    byte -= size;
    frame += 1;
  }
  return {
    direction,
    frame: Math.min(frame, sizes.length - 1),
    place: byte,
    hard: random.chance(0.5),
  };
}
