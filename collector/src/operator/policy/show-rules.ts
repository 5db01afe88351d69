import { formatInstant, formatTime, printable } from '@aliquot/shared/cli/format';
import { LOCK_BINDS_AFTER_MS, WEAKER_ACTS_AFTER_MS } from '../../retention/ruling.ts';
import {
  ANY_OTHER,
  type RuleChange,
  type RuleChanges,
  type SectionChanges,
} from './rule-changes.ts';
import { namesText } from './show.ts';

/** What other rules keep less, or more, and from when on, for people; undefined: as before. */
export function rulesText(
  { rules, grace }: SectionChanges,
  agents: number,
  nowMs: number,
): string | undefined {
  if (rules.length === 0 && grace === undefined) return undefined;
  const blocks = new Map<string, string[]>();
  for (const one of rules) {
    const lines = one.changes.map(changeText).join('\n');
    const key = `${whoseText(one, agents)}\n${lines}`;
    blocks.set(key, [...(blocks.get(key) ?? []), classText(one, rules)]);
  }
  const shown = [...blocks].map(([text, classes]) => `${classes.join(', ')} of ${text}`);
  if (grace !== undefined)
    shown.push(`what expired can be had back\n${changeText({ what: 'grace', ...grace })}`);
  const when = whenText({ rules }, nowMs);
  const spaced = when.length === 0 ? [] : ['', ...when];
  return ['How long versions are kept changes:', ...shown, ...spaced].join('\n');
}

function classText({ className }: RuleChanges, rules: readonly RuleChanges[]): string {
  if (className !== ANY_OTHER) return printable(className);
  return rules.some((one) => one.className !== ANY_OTHER) ? 'other classes' : 'all classes';
}

function whoseText({ agents, source }: RuleChanges, all: number): string {
  const named = agents.filter((name) => name !== ANY_OTHER);
  const isOpen = named.length < agents.length;
  const who =
    named.length === all && isOpen
      ? 'every PC'
      : `${namesText(named)}${isOpen ? `${named.length > 0 ? ' and ' : ''}PCs that are not there yet` : ''}`;
  if (source === undefined) return who;
  return `${who}, ${source === ANY_OTHER ? 'other folders' : `folder ${printable(source)}`}`;
}

function changeText({
  what,
  before,
  now,
  keeps,
}: Omit<RuleChange, 'what'> & { readonly what: string }): string {
  return `  ${keeps === 'less' ? '-' : '+'} ${what}: ${before} -> ${now}`;
}

/** From when on rules that are set now keep less, and their locks bind: lines for people. */
export function whenText({ rules }: Pick<SectionChanges, 'rules'>, nowMs: number): string[] {
  if (rules.length === 0) return [];
  const { less, lock } = effectOf(rules);
  return [
    less
      ? `Less (-) is kept from ${formatTime(nowMs + WEAKER_ACTS_AFTER_MS)} on, seven days after it is set: until then the earlier policy, set again, takes it back. More (+) is kept at once.`
      : 'More (+) is kept at once; nothing is kept less.',
    ...(lock
      ? [
          `A longer lock binds from ${formatTime(nowMs + LOCK_BINDS_AFTER_MS)} on: until then it can be taken back, and later nobody can shorten it for what is there.`,
        ]
      : []),
  ];
}

function effectOf(rules: readonly RuleChanges[]): { less: boolean; lock: boolean } {
  const all = rules.flatMap(({ changes }) => changes);
  return {
    less: all.some(({ keeps }) => keeps === 'less'),
    lock: all.some(({ what, keeps }) => what === 'lock' && keeps === 'more'),
  };
}

/** The same for scripts, a line for each. */
export function rulesJson({ rules, grace }: SectionChanges, nowMs: number): object[] {
  const acting = (changes: readonly RuleChange[]) => {
    const { less, lock } = effectOf([{ agents: [], className: '', source: '', changes }]);
    return {
      keepsLessFrom: less ? formatInstant(nowMs + WEAKER_ACTS_AFTER_MS) : null,
      lockBindsFrom: lock ? formatInstant(nowMs + LOCK_BINDS_AFTER_MS) : null,
    };
  };
  const lines = rules.map(({ agents, className, source, changes }) => ({
    event: 'retention',
    agents: agents.filter((name) => name !== ANY_OTHER),
    laterAgents: agents.includes(ANY_OTHER),
    class: className || null,
    source: source || null,
    changes,
    ...acting(changes),
  }));
  return grace === undefined
    ? lines
    : [...lines, { event: 'grace', before: grace.before, now: grace.now }];
}
