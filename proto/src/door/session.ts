/** WIRE.md, "ClientHello", "ServerHello", "ClientFrame" and "ServerFrame". */
import {
  MAX_COMMIT_ENTRIES,
  MAX_ERROR_CODE_CHARS,
  MAX_FRAME_BYTES,
  MAX_FRAME_HEADER_BYTES,
  MAX_HELLO_BYTES,
  MAX_IDS,
  MAX_ITEMS,
  MAX_LOG_LEAF_BYTES,
  MAX_NAME_CHARS,
  MAX_OFFERED_VERSIONS,
  MAX_OPENINGS,
  MAX_PROOF_HASHES,
  MAX_RELEASE_FILE_BYTES,
  MAX_SEALED_CHUNK_BYTES,
  MAX_SESSION_ID_BYTES,
  MAX_SETTINGS_DETAIL_BYTES,
  TAG_BYTES,
} from '../limits.ts';
import type {
  ClientFrame,
  ClientHello,
  RefusalCode,
  ServerFrame,
  ServerHello,
  SettingsOutcome,
  StoredItem,
} from '../session-types.ts';
import { codec } from './codec.ts';
import { chainPoint, line, signed, storedItem, treeHead } from './common.ts';
import { askId } from './diagnosis.ts';
import { checked, type Field, list, object, optional, refusal, union } from './field.ts';
import { v1 } from './generated.ts';
import { releaseFile } from './release.ts';
import {
  bytes,
  chainId,
  choice,
  chunkIds,
  counter,
  flag,
  hash,
  hashes,
  indexes,
  NAME,
  numbers,
  positive,
  signature,
  text,
  timeMs,
  uint,
  uint32,
  vaultId,
  versionNumber,
} from './scalar.ts';

/** The agent's first message, in clear: says no more than which vault it wants. */
export const { encode: encodeClientHello, decode: decodeClientHello } = codec<ClientHello>(
  'ClientHello',
  v1.ClientHello,
  object<ClientHello>('ClientHello', {
    versions: checked(numbers(versionNumber, 1, MAX_OFFERED_VERSIONS), (versions, label) => {
      if (new Set(versions).size !== versions.length)
        throw refusal('FORMAT_MALFORMED', label, 'offers a version twice');
    }),
    vaultId,
    nonce: hash,
    ephemeralKey: hash,
  }),
  { maxBytes: MAX_HELLO_BYTES },
);

/** The collector's answer, in clear, with its proof of identity. */
export const { encode: encodeServerHello, decode: decodeServerHello } = codec<ServerHello>(
  'ServerHello',
  v1.ServerHello,
  object<ServerHello>('ServerHello', {
    version: versionNumber,
    nonce: hash,
    ephemeralKey: hash,
    certificate: signed,
    signature,
  }),
  { maxBytes: MAX_HELLO_BYTES },
);

const requestId = uint32;
const proof = hashes(0, MAX_PROOF_HASHES);
const live = indexes(MAX_COMMIT_ENTRIES);

/** The items whose bytes are the frame's body, in order. */
function items(min: number): Field<readonly StoredItem[]> {
  return checked(list(storedItem(MAX_SEALED_CHUNK_BYTES), min, MAX_ITEMS), (value, label) => {
    const total = value.reduce((sum, { size }) => sum + size, 0);
    if (total > MAX_FRAME_BYTES)
      throw refusal(
        'FORMAT_LIMIT',
        label,
        `has ${total} bytes, more than the ${MAX_FRAME_BYTES} of a frame`,
      );
  });
}

/** The header of a frame from the agent. `checkClientBody` judges the body beside it. */
export const { encode: encodeClientFrame, decode: decodeClientFrame } = codec<ClientFrame>(
  'ClientFrame',
  v1.ClientFrame,
  union<ClientFrame>({
    auth: object('ClientFrame.Auth', {
      enrolment: signed,
      binding: signed,
      signature,
      software: text(1, MAX_NAME_CHARS, NAME, 'printable and on one line'),
      chainId,
      treeHead: optional(treeHead),
      signedHead: optional(signed),
      signedHeadCertificate: optional(signed),
      addressesRevision: counter,
      settingsSequence: counter,
    }),
    have: object('ClientFrame.Have', { requestId, ids: chunkIds(1, MAX_IDS) }),
    chunks: object('ClientFrame.Chunks', { items: items(1) }),
    commit: object('ClientFrame.Commit', { requestId }),
    heartbeat: object('ClientFrame.Heartbeat', { requestId }),
    state: object('ClientFrame.State', { requestId, atMs: timeMs }),
    fetch: object('ClientFrame.Fetch', { requestId, ids: chunkIds(1, MAX_IDS) }),
    gcLearned: object('ClientFrame.GcLearned', { gcEpoch: counter }),
    diagnosis: checked(
      object('Diagnosis', {
        askId,
        code: text(0, MAX_ERROR_CODE_CHARS, /^[A-Z0-9_]*$/, 'an error code'),
        ephemeralKey: optional(hash),
      }),
      (answer, label) => {
        if ((answer.ephemeralKey === undefined) !== answer.code.length > 0)
          throw refusal(
            'FORMAT_MALFORMED',
            label,
            'must have either a key or the code of a refusal',
          );
      },
    ),
    releaseFetch: object('ReleaseFetch', {
      requestId,
      name: releaseFile,
      offset: uint(0, MAX_RELEASE_FILE_BYTES),
    }),
    settingsAnswer: checked(
      object('ClientFrame.SettingsAnswer', {
        sequence: positive,
        outcome: choice<SettingsOutcome>({ applied: 1, refused: 2, cannot: 3 }),
        code: text(0, MAX_ERROR_CODE_CHARS, /^[A-Z0-9_]+$/, 'an error code'),
        ephemeralKey: optional(hash),
        sealed: optional(bytes(TAG_BYTES + 1, MAX_SETTINGS_DETAIL_BYTES)),
      }),
      (answer, label) => {
        if ((answer.outcome === 'applied') !== (answer.code === ''))
          throw refusal('FORMAT_MALFORMED', label, 'must name exactly a refusal');
        if ((answer.sealed === undefined) !== (answer.ephemeralKey === undefined))
          throw refusal(
            'FORMAT_MALFORMED',
            label,
            'must have both key and sealed text, or neither',
          );
      },
    ),
  }),
  { maxBytes: MAX_FRAME_HEADER_BYTES },
);

const refusalCode = choice<RefusalCode>({
  'bad-signature': 1,
  'bad-certificate': 2,
  'bad-predecessor': 3,
  'chain-forked': 4,
  'bad-commit': 5,
  revoked: 6,
  'not-enrolled': 7,
  replaced: 8,
  'log-rolled-back': 9,
  'self-restore-off': 10,
  protocol: 11,
  limit: 12,
  storage: 13,
  pending: 14,
});

/** The header of a frame from the collector. `checkServerBody` judges the body beside it. */
export const { encode: encodeServerFrame, decode: decodeServerFrame } = codec<ServerFrame>(
  'ServerFrame',
  v1.ServerFrame,
  union<ServerFrame>({
    ready: object('ServerFrame.Ready', {
      sessionId: bytes(1, MAX_SESSION_ID_BYTES),
      creditBytes: counter,
      timeMs,
      head: signed,
      consistency: proof,
      openings: list(
        object('ServerFrame.Opening', {
          opening: signed,
          leaf: bytes(1, MAX_LOG_LEAF_BYTES),
          inclusion: proof,
        }),
        0,
        MAX_OPENINGS,
      ),
      chainHead: optional(chainPoint),
      gcEpoch: counter,
      rolledBack: flag,
      software: text(0, MAX_NAME_CHARS, NAME, 'printable and on one line'),
    }),
    haveAnswer: object('ServerFrame.HaveAnswer', { requestId, missing: indexes(MAX_IDS) }),
    credit: object('ServerFrame.Credit', { bytes: positive }),
    receipt: object('ServerFrame.Receipt', {
      requestId,
      receipt: signed,
      inclusion: proof,
      consistency: proof,
      head: signed,
      lacking: indexes(MAX_COMMIT_ENTRIES),
    }),
    commitMissing: object('ServerFrame.CommitMissing', { requestId, ids: chunkIds(1, MAX_IDS) }),
    refused: object('ServerFrame.Refused', { requestId, code: refusalCode, message: line }),
    heartbeatAck: object('ServerFrame.HeartbeatAck', { requestId }),
    commitData: object('ServerFrame.CommitData', { requestId, live, receivedAtMs: timeMs }),
    stateEnd: object('ServerFrame.StateEnd', { requestId }),
    chunkData: object('ServerFrame.ChunkData', {
      requestId,
      items: items(0),
      last: flag,
      missing: chunkIds(0, MAX_IDS),
    }),
    notice: object('ServerFrame.Notice', {
      code: text(1, 64, /^[a-z0-9-]+$/, 'lower-case letters, digits and hyphens'),
      message: line,
    }),
    gcEpoch: object('ServerFrame.GcEpoch', { gcEpoch: counter }),
    addresses: object('ServerFrame.Addresses', { addresses: signed }),
    diagnose: object('Diagnose', { request: signed, certificate: signed }),
    releaseData: object('ReleaseData', { requestId, size: uint(0, MAX_RELEASE_FILE_BYTES) }),
    settings: object('ServerFrame.PushedSettings', {
      settings: signed,
      certificate: optional(signed),
    }),
  }),
  { maxBytes: MAX_FRAME_HEADER_BYTES },
);
