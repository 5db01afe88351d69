import { MAX_SETTINGS_CHARS } from '@aliquot/proto';
import { stringify } from 'yaml';
import { didYouMean, nearest } from '../cli/nearest.ts';
import { shareOf } from '../release/share.ts';
import { MapReader } from './map-reader.ts';
import { isMap, mergeSettings, type Plain } from './merge.ts';
import { fitsName, NAME_PATTERN } from './name-pattern.ts';
import { checkSettings } from './read.ts';
import { type RetentionSection, readRetention } from './retention.ts';
import { type Mistake, parseSettingsText, type SettingsText } from './text.ts';

/*
 * The policy file of a vault. Section `agents:`: what PCs are told. Section `retention:`: how long
 * the collector keeps what they send (`retention.ts`). Pure: text in, settings out.
 */

/** A group of PCs. */
export interface PolicyGroup {
  readonly name: string;
  /** Names of PCs; `*` stands for any characters. */
  readonly names: readonly string[];
  readonly settings: Plain;
}

/** A policy that was read. */
export interface Policy {
  readonly defaults: Plain;
  /** In the order of the file. */
  readonly groups: readonly PolicyGroup[];
  readonly pcs: ReadonlyMap<string, Plain>;
  /** Undefined where the file has no such section: then everything stays. */
  readonly retention: RetentionSection | undefined;
  readonly lines: SettingsText;
}

/** The settings of one PC. */
export interface RenderedSettings {
  /** Names of the groups that it is in, in their order. */
  readonly groups: readonly string[];
  readonly plain: Plain;
  /** YAML, as the PC gets it. */
  readonly text: string;
}

const topKeys = ['agents', 'retention'] as const;
const agentsKeys = ['defaults', 'groups', 'pcs'] as const;
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
const GROUP = /^[A-Za-z][A-Za-z0-9._-]{0,63}$/;

/** Reads a policy file; all mistakes at once, each with its line and what is accepted. */
export function readPolicy(
  text: string,
): { readonly policy: Policy } | { readonly mistakes: readonly Mistake[] } {
  const parsed = parseSettingsText(text);
  if ('mistakes' in parsed) return parsed;
  const reader = new Reader(parsed);
  const policy = reader.read();
  const mistakes = reader.mistakes.length > 0 ? reader.mistakes : together(policy);
  return mistakes.length > 0
    ? { mistakes: [...mistakes].sort((a, b) => a.line - b.line) }
    : { policy };
}

class Reader extends MapReader {
  read(): Policy {
    const top = this.map(this.lines.value ?? {}, [], topKeys);
    const agents = this.map(top['agents'] ?? {}, ['agents'], agentsKeys);
    const defaults = this.#section(agents['defaults'] ?? {}, ['agents', 'defaults']);
    const groups = Object.entries(this.map(agents['groups'] ?? {}, ['agents', 'groups'])).map(
      ([name, value]) => this.#group(name, value),
    );
    const pcs = new Map<string, Plain>();
    for (const [name, value] of Object.entries(this.map(agents['pcs'] ?? {}, ['agents', 'pcs']))) {
      const path = ['agents', 'pcs', name];
      if (!NAME.test(name))
        this.say(
          path.slice(0, 2),
          `"${name}" is no name of a PC; letters, digits, dots, dashes and underscores make one`,
          name,
        );
      pcs.set(name, this.#section(value ?? {}, path));
    }
    const retention = this.#retention(top['retention']);
    return { defaults, groups, pcs, retention, lines: this.lines };
  }

  #group(name: string, value: unknown): PolicyGroup {
    const path = ['agents', 'groups', name];
    if (!GROUP.test(name))
      this.say(
        path.slice(0, 2),
        `"${name}" is no name of a group; begin with a letter, then letters, digits, dots, dashes`,
        name,
      );
    if (!isMap(value)) {
      this.say(path, `group ${name} must be a map with "names" and settings`);
      return { name, names: [], settings: {} };
    }
    const { names, ...settings } = value;
    return { name, names: this.#names(names, path), settings: this.#section(settings, path) };
  }

  #names(value: unknown, path: readonly string[]): readonly string[] {
    const shown = 'names must be a list of names of PCs, such as [hplc-1, lcms-*]';
    if (!Array.isArray(value) || value.length === 0) {
      this.say([...path, 'names'], shown);
      return [];
    }
    return value.filter((name, at): name is string => {
      const right = typeof name === 'string' && NAME_PATTERN.test(name);
      if (!right) this.say([...path, 'names', at], shown);
      return right;
    });
  }

  #section(value: unknown, path: readonly string[]): Plain {
    if (!isMap(value)) {
      this.say(path, `${path.slice(1).join('.')} must be a map of settings`);
      return {};
    }
    const checked = checkSettings(value, 'section', 'anywhere', {
      placeOf: (inner) => this.lines.placeOf([...path, ...inner]),
      placeOfKey: (inner, key) => this.lines.placeOfKey([...path, ...inner], key),
    });
    if ('mistakes' in checked) this.mistakes.push(...checked.mistakes);
    return value;
  }

  #retention(value: unknown): RetentionSection | undefined {
    if (value === undefined) return undefined;
    const read = readRetention(value, this.lines);
    if ('rules' in read) return read;
    this.mistakes.push(...read.mistakes);
    return undefined;
  }
}

/**
 * Mistakes that only sections together make, for every PC that the file names, and for every group
 * alone.
 */
function together(policy: Policy): readonly Mistake[] {
  const mistakes = [
    ...mistakesFor(policy, 'a PC in no group', [['agents', 'defaults']]),
    ...policy.groups.flatMap(({ name }) =>
      mistakesFor(policy, `a PC of group ${name}`, [
        ['agents', 'defaults'],
        ['agents', 'groups', name],
      ]),
    ),
    ...[...policy.pcs.keys()].flatMap((name) => mistakesOf(policy, name)),
  ];
  const seen = new Set<string>();
  // The same two lines clash for many PCs: the first of them is named.
  const firsts = mistakes.filter(({ line, message }) => {
    const key = `${line} ${message}`;
    return !seen.has(key) && seen.add(key);
  });
  return firsts.map(named);
}

/** What is wrong with the settings of one PC once all sections are put together. */
export function settingsMistakes(policy: Policy, name: string): readonly Mistake[] {
  return mistakesOf(policy, name).map(named);
}

/** A mistake in the settings of some PCs. */
interface MistakeFor extends Mistake {
  readonly whom: string;
}

function named({ whom, ...mistake }: MistakeFor): Mistake {
  return { ...mistake, message: `${mistake.message} (for ${whom})` };
}

function mistakesOf(policy: Policy, name: string): readonly MistakeFor[] {
  const sections = [
    ['agents', 'defaults'],
    ...groupsOf(policy, name).map((group) => ['agents', 'groups', group.name]),
    ...(policy.pcs.has(name) ? [['agents', 'pcs', name]] : []),
  ];
  return mistakesFor(policy, name, sections, name);
}

/**
 * A section as it counts for one PC: an update for a share of the PCs is left out for PCs beyond it
 * (`shareOf`), and no PC needs to know how large the share is. A PC without a name yet is beyond
 * every share.
 */
function forPc(section: Plain, name: string | undefined): Plain {
  const { update, ...rest } = section;
  if (!isMap(update) || update['share'] === undefined) return section;
  const { share, ...plain } = update;
  const isIn =
    name !== undefined &&
    typeof share === 'number' &&
    shareOf(name, String(plain['version'])) < share;
  return isIn ? { ...rest, update: plain } : rest;
}

function mistakesFor(
  policy: Policy,
  whom: string,
  sections: readonly (readonly string[])[],
  pc?: string,
): readonly MistakeFor[] {
  const layers = sections.map(([, kind, name = '']) => {
    if (kind === 'groups')
      return forPc(policy.groups.find((group) => group.name === name)?.settings ?? {}, pc);
    return forPc(kind === 'pcs' ? (policy.pcs.get(name) ?? {}) : policy.defaults, pc);
  });
  const plain = mergeSettings(layers);
  // The last section that says something is the one that counts.
  const saying = (path: readonly PropertyKey[]) =>
    sections[
      layers.findLastIndex((layer) => path[0] !== undefined && Object.hasOwn(layer, path[0]))
    ] ??
    sections[0] ??
    [];
  const checked = checkSettings(plain, 'desk', 'anywhere', {
    placeOf: (path) => policy.lines.placeOf([...saying(path), ...path]),
    placeOfKey: (path, key) => policy.lines.placeOfKey([...saying(path), ...path], key),
  });
  if ('mistakes' in checked) return checked.mistakes.map((mistake) => ({ ...mistake, whom }));
  const length = [...textOf(plain)].length;
  if (length <= MAX_SETTINGS_CHARS) return [];
  return [
    {
      ...policy.lines.placeOf(sections.at(-1) ?? []),
      message: `has ${length} characters of settings, more than the ${MAX_SETTINGS_CHARS} that a PC takes`,
      whom,
    },
  ];
}

/** The groups that a PC is in, by its name. */
function groupsOf(policy: Policy, name: string): readonly PolicyGroup[] {
  return policy.groups.filter(({ names }) => names.some((pattern) => fitsName(pattern, name)));
}

/**
 * The settings of the PC of a name: defaults, over them its groups in their order, over them its
 * own section. Undefined where the policy says nothing to it. With `{ group }`: the settings of any
 * PC of that group that is in no other; for the bundle of a group.
 */
export function renderSettings(
  policy: Policy,
  whom: string | { readonly group: string },
): RenderedSettings | undefined {
  const groups =
    typeof whom === 'string'
      ? groupsOf(policy, whom)
      : policy.groups.filter(({ name }) => name === whom.group);
  const own = typeof whom === 'string' ? policy.pcs.get(whom) : undefined;
  if (groups.length === 0 && own === undefined && Object.keys(policy.defaults).length === 0)
    return undefined;
  const sections = [policy.defaults, ...groups.map(({ settings }) => settings), own ?? {}];
  const plain = mergeSettings(
    sections.map((section) => forPc(section, typeof whom === 'string' ? whom : undefined)),
  );
  return { groups: groups.map(({ name }) => name), plain, text: textOf(plain) };
}

/** Settings that say nothing: for a PC that had some, and is not meant by the policy any more. */
export const noSettings: RenderedSettings = { groups: [], plain: {}, text: '{}\n' };

function textOf(plain: Plain): string {
  return stringify(plain, { lineWidth: 0 });
}

/**
 * Groups and single PCs of a policy that none of `names` is meant by: settings for nobody, each
 * with its line and who may be meant.
 */
export function forNobody(policy: Policy, names: readonly string[]): readonly Mistake[] {
  const groups = policy.groups
    .filter(
      (group) => !group.names.some((pattern) => names.some((name) => fitsName(pattern, name))),
    )
    .map(({ name, names: patterns }) => ({
      ...policy.lines.placeOfKey(['agents', 'groups'], name),
      message: `group ${name} (${patterns.join(', ')}) fits no PC`,
    }));
  const pcs = [...policy.pcs.keys()]
    .filter((name) => !names.includes(name))
    .map((name) => ({
      ...policy.lines.placeOfKey(['agents', 'pcs'], name),
      message: `there is no PC ${name}${didYouMean(nearest(name, names))}`,
    }));
  return [...groups, ...pcs].sort((a, b) => a.line - b.line);
}
