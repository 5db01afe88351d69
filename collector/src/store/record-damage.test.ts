import { recordDamageSuite } from '@aliquot/shared/testing/records/damage';
import { HISTORY_FORMAT } from './history/history-format.ts';
import { PACK_FORMAT } from './packs/pack-format.ts';

const codes = {
  damaged: 'STORE_DAMAGED',
  foreign: 'STORE_CORRUPT',
  later: 'STORE_CORRUPT',
  tooLarge: 'STORE_BAD_ITEM',
} as const;

recordDamageSuite(HISTORY_FORMAT, codes);
recordDamageSuite(PACK_FORMAT, codes);
