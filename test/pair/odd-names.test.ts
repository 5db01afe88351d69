import { MAX_PATH_BYTES } from '@aliquot/proto';
import { fileIdFor } from '@aliquot/shared/keys/derive';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ownFiles } from '../../agent/src/restore/own-files.ts';
import { bytePath, pathBytes } from '../../agent/src/source/paths.ts';
import {
  collect,
  putSlab,
  type SlabSample,
  sampleSlab,
} from '../../agent/testing/queue/support.ts';
import { Pair } from './pair.ts';

let pair: Pair;

beforeEach(async () => {
  pair = await Pair.open();
});
afterEach(() => pair.close());

/** The same version of a file that is called otherwise. */
function renamed(sample: SlabSample, path: Uint8Array, pathKey: Uint8Array): SlabSample {
  const { draft, known } = sample;
  return {
    ...sample,
    path,
    draft: { ...draft, fileId: fileIdFor(pathKey, path), list: { ...draft.list, path } },
    known: { ...known, path },
  };
}

const everyByte = Buffer.from([
  ...Buffer.from('/data/'),
  ...Array.from({ length: 255 }, (_, at) => at + 1),
]);
/** As long as a path can be, each another one. */
const longest = (at: number): Uint8Array =>
  Buffer.concat([Buffer.from(`/data/${at}/`), Buffer.alloc(MAX_PATH_BYTES, 'x')]).subarray(
    0,
    MAX_PATH_BYTES,
  );

describe('small files', () => {
  test.each<[string, readonly Uint8Array[]]>([
    // More of them than a block of versions takes: that one is bounded in bytes.
    ['with paths of 32 KiB', Array.from({ length: 40 }, (_, at) => longest(at))],
    [
      'with names of any bytes',
      [everyByte, Buffer.from([0x2f, 0xff, 0xfe]), Buffer.from('/e\u0301'), Buffer.from('/\u00e9')],
    ],
  ])('P1 P2: %s arrive in their slab, are known and listed byte for byte', async (_, paths) => {
    const agent = await pair.agent('lcms-1');
    agent.start();
    await agent.until('ready');
    const { pathKey } = agent.identity;
    const files = sampleSlab(paths.map((_, at) => `${at}`)).map((file, at) =>
      renamed(file, paths[at] ?? new Uint8Array(0), pathKey),
    );
    await putSlab(agent.queue, files);
    await agent.queue.sync();
    await agent.uplink.drained();
    await agent.mustHold(files);
    const watch = {
      onUnopened: () => expect.unreachable(),
      onEarlier: () => undefined,
      onKeptBack: () => undefined,
    };
    const listed = await collect(
      ownFiles(agent.uplink, agent.identity, 0, [bytePath(Buffer.from('/'))], watch),
    );
    const hex = (all: readonly Uint8Array[]) =>
      all.map((path) => Buffer.from(path).toString('hex')).toSorted();
    expect(hex(listed.map(({ path }) => pathBytes(path)))).toEqual(hex(paths));
  });
});
