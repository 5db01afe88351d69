import { MemoryPacks, PackMedium } from '../../../testing/store/memory-packs.ts';
import { packStoreConformance, TEST_PACK_BYTES } from '../../../testing/store/pack-conformance.ts';

packStoreConformance('memory', () => {
  const medium = new PackMedium();
  return {
    open: async (opening) => new MemoryPacks(medium, opening, { packBytes: TEST_PACK_BYTES }),
    rot: async (place, byte) => medium.rot(place, byte),
    lose: async (pack) => void medium.packs.delete(pack),
  };
});
