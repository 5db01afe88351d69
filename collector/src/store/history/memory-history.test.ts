import {
  historyLogConformance,
  TEST_FILE_BYTES,
} from '../../../testing/store/history-conformance.ts';
import { HistoryMedium, MemoryHistory } from '../../../testing/store/memory-history.ts';

historyLogConformance('memory', () => {
  const medium = new HistoryMedium();
  return {
    open: async (opening) => new MemoryHistory(medium, opening, { fileBytes: TEST_FILE_BYTES }),
    rot: async (place) => medium.rot(place),
  };
});
