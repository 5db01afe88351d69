import type { z } from 'zod';
import { nearest } from '../cli/nearest.ts';
import { courtesyKeys } from './courtesy.ts';
import { innerKeys, type SettingsKind, schemaOf } from './schema.ts';
import { type Mistake, parseSettingsText, type SettingsText } from './text.ts';
import type { Where } from './where.ts';

type OutputOf<Kind extends SettingsKind> = z.output<ReturnType<(typeof schemaOf)[Kind]>>;

/** What reading settings gave: both the checked value and the plain one that the text was. */
export type SettingsRead<Value> =
  | { readonly value: Value; readonly plain: unknown }
  | { readonly mistakes: readonly Mistake[] };

/**
 * Reads settings: text to plain values, then to a typed value; two pure steps. All mistakes are
 * reported at once, each with its line and what is accepted; unknown keys are mistakes, for a
 * misspelt `exclude` must not be ignored.
 */
export function readSettings<Kind extends SettingsKind>(
  text: string,
  kind: Kind,
  where: Where,
): SettingsRead<OutputOf<Kind>> {
  const parsed = parseSettingsText(text);
  if ('mistakes' in parsed) return parsed;
  return checkSettings(parsed.value ?? {}, kind, where, parsed);
}

/** Step two alone, for plain values that a text gave. */
export function checkSettings<Kind extends SettingsKind>(
  plain: unknown,
  kind: Kind,
  where: Where,
  lines: Pick<SettingsText, 'placeOf' | 'placeOfKey'>,
): SettingsRead<OutputOf<Kind>> {
  const schema: z.ZodType = schemaOf[kind](where);
  const checked = schema.safeParse(plain);
  if (checked.success) return { value: checked.data as OutputOf<Kind>, plain };
  const mistakes: Mistake[] = [];
  for (const issue of checked.error.issues) {
    if (issue.code === 'unrecognized_keys') {
      for (const key of issue.keys)
        mistakes.push({
          ...lines.placeOfKey(issue.path, key),
          message: unknownKey(key, acceptedAt(issue.path, kind)),
          unknown: true,
        });
    } else
      mistakes.push({
        ...lines.placeOf(issue.path),
        message: `${issue.path.length === 0 ? 'the configuration' : spokenPath(issue.path)} ${issue.message}`,
      });
  }
  return { mistakes: mistakes.sort((a, b) => a.line - b.line) };
}

/** Says that a key is unknown, and which was probably meant. */
export function unknownKey(key: string, accepted: readonly string[]): string {
  const near = nearest(key, accepted);
  const hint =
    near === undefined ? `accepted are ${accepted.join(', ')}` : `did you mean "${near}"?`;
  return `"${key}" is not a setting; ${hint}`;
}

/** The keys of the map at `path`. */
function acceptedAt(path: readonly PropertyKey[], kind: SettingsKind): readonly string[] {
  if (path.length === 0) return Object.keys(schemaOf[kind]('anywhere').shape);
  const named = path.filter((part) => typeof part === 'string').at(-1) ?? '';
  if (named === 'metrics') return ['listen'];
  if (named === 'queue' || named === 'update') return innerKeys[named];
  return courtesyKeys[named] ?? innerKeys.source;
}

/** `sources[1].path`, as people write it. */
export function spokenPath(path: readonly PropertyKey[]): string {
  return path
    .map((part, at) =>
      typeof part === 'number' ? `[${part}]` : `${at === 0 ? '' : '.'}${String(part)}`,
    )
    .join('');
}
