import { recordDamageSuite } from '@aliquot/shared/testing/records/damage';
import { historyFormat } from './history/history-format.ts';
import { packFormat } from './packs/pack-format.ts';

const codes = {
  damaged: 'STORE_DAMAGED',
  foreign: 'STORE_CORRUPT',
  later: 'STORE_CORRUPT',
  tooLarge: 'STORE_BAD_ITEM',
} as const;

recordDamageSuite(historyFormat, codes);
recordDamageSuite(packFormat, codes);
