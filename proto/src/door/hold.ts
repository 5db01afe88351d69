/** FORMAT.md, "HoldBody" to "HoldReleaseBody". */
import {
  MAX_AGENT_NAME_CHARS,
  MAX_EVENT_BYTES,
  MAX_HELD_FILES,
  MAX_HOLD_LINEAGES,
  MAX_HOLD_PARTS,
  MAX_HOLD_PATHS_BYTES,
  MAX_HOLD_WORDS,
  MAX_SIGNED_BODY_BYTES,
  MAX_TEXT_CHARS,
  TAG_BYTES,
} from '../limits.ts';
import type { HoldBody, HoldPaths, HoldReleaseBody, HoldResolutionBody } from '../order-types.ts';
import { codec } from './codec.ts';
import { treeHead } from './common.ts';
import { policyClass } from './entry.ts';
import { checked, type Field, list, object, optional, refusal, version } from './field.ts';
import { v1 } from './generated.ts';
import {
  AGENT_NAME,
  bytes,
  fileIds,
  holdId,
  LINE,
  lineageIds,
  text,
  timeMs,
  uint,
  vaultId,
} from './scalar.ts';

const KEY_BYTES = 32;
/** Names of PCs, of clones and of what is held apart, which has a `~`. */
const AGENTS: RegExp = /^[A-Za-z0-9*][A-Za-z0-9._*~-]*$/;

const name = text(
  1,
  MAX_AGENT_NAME_CHARS,
  AGENT_NAME,
  'letters, digits, dot, underscore or hyphen, a letter or digit first',
);
export const someLine = text(1, MAX_TEXT_CHARS, LINE, 'one line without control characters');

/** Each once, in rising order, so that what means the same has the same bytes. */
export function rising<T extends string | Uint8Array>(
  field: Field<readonly T[]>,
): Field<readonly T[]> {
  return checked(field, (all, label) => {
    const isRising = all.every((one, at) => at === 0 || compare(all[at - 1] as T, one) < 0);
    if (!isRising) throw refusal('FORMAT_MALFORMED', label, 'must rise, each once');
  });
}

function compare(a: string | Uint8Array, b: string | Uint8Array): number {
  if (typeof a === 'string' || typeof b === 'string') return a < b ? -1 : a > b ? 1 : 0;
  return Buffer.compare(a, b);
}

const words = (field: Field<string>): Field<readonly string[]> =>
  rising(list(field, 0, MAX_HOLD_WORDS));

/** A hold as it stands in its event. */
export const holdBody: Field<HoldBody> = checked(
  object<HoldBody>('HoldBody', {
    version,
    vaultId,
    holdId,
    name,
    reason: someLine,
    owner: someLine,
    agents: words(
      text(1, 2 * MAX_AGENT_NAME_CHARS, AGENTS, 'the name of an agent, * for any characters'),
    ),
    lineageIds: rising(lineageIds(0, MAX_HOLD_LINEAGES)),
    classes: words(policyClass),
    fromMs: timeMs,
    toMs: timeMs,
    paths: optional(bytes(KEY_BYTES + TAG_BYTES + 1, MAX_HOLD_PATHS_BYTES)),
  }),
  (body, label) => {
    if (body.fromMs > body.toMs) throw refusal('FORMAT_MALFORMED', label, 'ends before it begins');
    if (body.agents.length === 0 && body.lineageIds.length > 0)
      throw refusal('FORMAT_MALFORMED', label, 'has lineages of no agents');
  },
);

/** A hold by itself, as requests and the catalog have it. */
export const { encode: encodeHoldBody, decode: decodeHoldBody } = codec<HoldBody>(
  'HoldBody',
  v1.HoldBody,
  holdBody,
  { maxBytes: MAX_EVENT_BYTES, maxFields: 2 * MAX_HOLD_WORDS + 16 },
);

/** The patterns of a hold, before they are sealed. */
export const { encode: encodeHoldPaths, decode: decodeHoldPaths } = codec<HoldPaths>(
  'HoldPaths',
  v1.HoldPaths,
  object<HoldPaths>('HoldPaths', { version, globs: list(someLine, 1, MAX_HOLD_WORDS) }),
  { maxBytes: MAX_HOLD_PATHS_BYTES, maxFields: MAX_HOLD_WORDS + 1 },
);

/** What the authority signs of the files that a hold's patterns fit: a part of it. */
export const { encode: encodeHoldResolutionBody, decode: decodeHoldResolutionBody } =
  codec<HoldResolutionBody>(
    'HoldResolutionBody',
    v1.HoldResolutionBody,
    checked(
      object<HoldResolutionBody>('HoldResolutionBody', {
        version,
        vaultId,
        holdId,
        head: treeHead,
        part: uint(1, MAX_HOLD_PARTS),
        parts: uint(1, MAX_HOLD_PARTS),
        fileIds: rising(fileIds(0, MAX_HELD_FILES)),
      }),
      (body, label) => {
        if (body.part > body.parts)
          throw refusal('FORMAT_MALFORMED', label, 'is a part behind the last one');
      },
    ),
    { maxBytes: MAX_SIGNED_BODY_BYTES },
  );

/** What the authority, or an operator, signs so that a hold is over. */
export const { encode: encodeHoldReleaseBody, decode: decodeHoldReleaseBody } =
  codec<HoldReleaseBody>(
    'HoldReleaseBody',
    v1.HoldReleaseBody,
    object<HoldReleaseBody>('HoldReleaseBody', {
      version,
      vaultId,
      holdId,
      releasedAtMs: timeMs,
      reason: someLine,
    }),
    { maxBytes: MAX_SIGNED_BODY_BYTES },
  );
