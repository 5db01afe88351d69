/** What is counted in a program's own code, in the order of the table. */
export const operations = [
  'SHA-256',
  'other hashes',
  'HMAC of the platform',
  'HKDF',
  'AES-GCM',
  'AES-CTR',
  'ciphers with raw keys',
  'key objects',
  'signatures',
  'signatures proved',
  'zstd, packed',
  'zstd, unpacked',
  'protobuf, encoded',
  'protobuf, decoded',
  'LevelDB, rows put',
  'LevelDB, rows deleted',
  'LevelDB, batches',
  'LevelDB, keys asked for',
  'LevelDB, questions for many',
  'LevelDB, rows read in order',
] as const;
export type CountedOperation = (typeof operations)[number];
