import { flatSettings } from '@aliquot/shared/settings/compare';
import { isMap, mergeSettings, type Plain } from '@aliquot/shared/settings/merge';
import { checkSettings, readSettings } from '@aliquot/shared/settings/read';
import type { AgentConfig, DeskSettings, LocalWord } from '@aliquot/shared/settings/schema';
import type { Mistake } from '@aliquot/shared/settings/text';
import { here } from '@aliquot/shared/settings/where';

/**
 * Where a value comes from: the program's default, the desk's settings, `agent.yaml` of this PC.
 */
export type Origin = 'built-in' | 'desk' | 'pc';

/** One value that is in force. */
export interface InForce {
  readonly setting: string;
  readonly value: string;
  readonly origins: readonly Origin[];
}

/** Settings from the desk, as they are in force. */
export interface DeskText {
  readonly sequence: number;
  readonly text: string;
}

/** What counts here, and from where. */
export interface Effective {
  readonly config: AgentConfig;
  readonly values: readonly InForce[];
  /** What `agent.yaml` says in vain, or wrongly; each for a person. */
  readonly unused: readonly Mistake[];
  readonly update: DeskSettings['update'];
}

const nowhere = { placeOf: () => ({ line: 1 }), placeOfKey: () => ({ line: 1 }) };

/**
 * What counts on this PC: the desk's settings, with what they let `agent.yaml` add. Where the desk
 * says nothing, `agent.yaml` alone. It never takes away what the desk says; where it has mistakes,
 * or does not fit, the desk's count alone. Pure. `mistakes`: of the desk's settings, or of
 * `agent.yaml` without any.
 */
export function effectiveSettings(
  desk: DeskText | undefined,
  own: string | undefined,
): Effective | { readonly mistakes: readonly Mistake[] } {
  if (desk === undefined) return alone(own);
  const told = readSettings(desk.text, 'desk', here);
  if ('mistakes' in told) return told;
  const plain = isMap(told.plain) ? told.plain : {};
  const { local, update: _update, ...settings } = plain;
  const added = own === undefined ? undefined : readSettings(own, 'beside', here);
  if (added === undefined) return together(told.value, settings, settings, {}, []);
  if ('mistakes' in added) return together(told.value, settings, settings, {}, added.mistakes);
  const given = isMap(added.plain) ? added.plain : {};
  const { merged, unused } = combine(settings, told.value.local, given);
  const both = together(told.value, merged, settings, given, unused);
  if (!('mistakes' in both)) return both;
  // What it adds does not go with what the desk says: then the desk's count alone, and the clash is
  // named.
  const clash = both.mistakes.map(({ message }) => ({
    line: 1,
    message: `does not fit the desk’s settings: ${message}`,
  }));
  return together(told.value, settings, settings, {}, [...unused, ...clash]);
}

function alone(own: string | undefined): Effective | { readonly mistakes: readonly Mistake[] } {
  if (own === undefined)
    return {
      mistakes: [
        { line: 1, message: 'is not there, or says nothing; nothing says which folders to watch' },
      ],
    };
  const read = readSettings(own, 'whole', here);
  if ('mistakes' in read) return read;
  const given = isMap(read.plain) ? read.plain : {};
  return {
    config: read.value,
    values: valuesOf(read.value, given, {}, given),
    unused: [],
    update: undefined,
  };
}

function together(
  told: DeskSettings,
  merged: Plain,
  desk: Plain,
  own: Plain,
  unused: readonly Mistake[],
): Effective | { readonly mistakes: readonly Mistake[] } {
  const checked = checkSettings(merged, 'desk', here, nowhere);
  if ('mistakes' in checked) return checked;
  const { local: _local, update: _update, ...config } = checked.value;
  return { config, values: valuesOf(config, merged, desk, own), unused, update: told.update };
}

interface Combined {
  readonly merged: Plain;
  readonly unused: readonly Mistake[];
}

/** The desk's settings with what the PC may add to them. */
function combine(desk: Plain, local: readonly LocalWord[], own: Plain): Combined {
  const merged: Record<string, unknown> = { ...desk };
  const unused: Mistake[] = [];
  const may = (word: LocalWord): boolean => local.includes(word);
  const inVain = (setting: string): void => {
    const allowed = local.length === 0 ? 'nothing' : local.join(', ');
    unused.push({
      line: 1,
      message: `"${setting}" has no effect: central IT lets this file add ${allowed}`,
    });
  };
  for (const [key, value] of Object.entries(own)) {
    if (key === 'sources') {
      if (may('sources'))
        merged['sources'] = [
          ...listOf(desk['sources']),
          ...fresh(listOf(value), listOf(desk['sources'])),
        ];
      else inVain(key);
    } else if (key === 'courtesy' && isMap(value)) addCourtesy(merged, value, may, inVain);
    else if (!may(key as LocalWord)) inVain(key);
    else if (!Object.hasOwn(desk, key)) merged[key] = value;
    else if (isMap(value) && isMap(desk[key])) merged[key] = mergeSettings([value, desk[key]]);
  }
  return { merged, unused };
}

function addCourtesy(
  merged: Record<string, unknown>,
  own: Plain,
  may: (word: LocalWord) => boolean,
  inVain: (setting: string) => void,
): void {
  const { pauseWhile, ...rest } = own;
  const desk = isMap(merged['courtesy']) ? merged['courtesy'] : {};
  for (const key of Object.keys(rest)) if (!may('courtesy')) inVain(`courtesy.${key}`);
  const signs = may('pauseWhile') || may('courtesy') ? listOf(pauseWhile) : [];
  if (pauseWhile !== undefined && signs.length === 0 && listOf(pauseWhile).length > 0)
    inVain('courtesy.pauseWhile');
  const all = [...listOf(desk['pauseWhile']), ...signs];
  merged['courtesy'] = {
    ...mergeSettings([may('courtesy') ? rest : {}, desk]),
    ...(all.length === 0 ? {} : { pauseWhile: all }),
  };
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** Folders that the desk does not name itself: what it says of one counts. */
function fresh(own: readonly unknown[], desk: readonly unknown[]): readonly unknown[] {
  const named = new Set(desk.map((source) => (isMap(source) ? source['path'] : undefined)));
  return own.filter((source) => !isMap(source) || !named.has(source['path']));
}

/**
 * Every value in force with its origins, in the order of their names. `desk` and `own`: what each
 * says by itself.
 */
function valuesOf(config: AgentConfig, merged: Plain, desk: Plain, own: Plain): readonly InForce[] {
  const said = { desk: flatSettings(desk), pc: flatSettings(own) };
  const shown = new Map([
    ...flatSettings(JSON.parse(JSON.stringify(config)) as Plain),
    ...flatSettings(merged),
  ]);
  return [...shown]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([setting, value]) => ({
      setting,
      value,
      origins: originsOf(setting, said.desk.has(setting), said.pc.has(setting)),
    }));
}

function originsOf(setting: string, desk: boolean, pc: boolean): readonly Origin[] {
  // The one list to which both may contribute; everything else is the desk's where it says
  // something.
  if (setting === 'courtesy.pauseWhile' && desk && pc) return ['desk', 'pc'];
  return [desk ? 'desk' : pc ? 'pc' : 'built-in'];
}
