import { z } from 'zod';
import { schemaOf, wholeSchema } from '../../shared/src/settings/schema.ts';

/** What JSON Schema says of one setting, as far as the page needs it. */
interface Node {
  readonly type?: string;
  readonly description?: string;
  readonly default?: unknown;
  readonly enum?: readonly unknown[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly anyOf?: readonly Node[];
  readonly properties?: Readonly<Record<string, Node>>;
  readonly required?: readonly string[];
  readonly items?: Node;
}

/** The JSON schema of `agent.yaml`, for editors: what is accepted, and what each setting is for. */
export function configJsonSchema(): object {
  const { $schema, ...rest } = z.toJSONSchema(wholeSchema('anywhere'), { io: 'input' });
  return { $schema, title: 'agent.yaml: what an Aliquot agent watches, and how', ...rest };
}

/**
 * The JSON schema of the policy file, for editors: sections that hold what `agent.yaml` holds, what
 * only the desk says, and the rules of retention.
 */
export function policyJsonSchema(): object {
  const { $schema, ...section } = z.toJSONSchema(schemaOf.section('anywhere'), { io: 'input' });
  const names = {
    type: 'array',
    minItems: 1,
    items: { type: 'string' },
    description: 'The PCs of the group by name; * stands for any characters.',
  };
  const group = { ...section, properties: { names, ...section.properties }, required: ['names'] };
  const agents = {
    type: 'object',
    additionalProperties: false,
    properties: {
      defaults: { ...section, description: 'What every PC is told.' },
      groups: {
        type: 'object',
        additionalProperties: group,
        description: 'Over the defaults, in this order.',
      },
      pcs: {
        type: 'object',
        additionalProperties: section,
        description: 'Over the groups, by the name of the PC.',
      },
    },
  };
  const title =
    'policy.yaml: what the PCs of an Aliquot vault are told, and how long it keeps what they send';
  const properties = { agents, retention: retentionJsonSchema() };
  return { $schema, title, type: 'object', additionalProperties: false, properties };
}

/** Section `retention:` of the policy; docs/retention.md has the words. */
function retentionJsonSchema(): object {
  const term = { type: 'string', pattern: '^[0-9]{1,9} ?(d|w|mo|y)$' };
  const count = { type: 'integer', minimum: 1, maximum: 10_000 };
  const list = { type: 'array', minItems: 1, items: { type: 'string' } };
  const map = (properties: object, required: readonly string[], description: string) => ({
    type: 'object',
    additionalProperties: false,
    properties,
    required,
    description,
  });
  const counts = { daily: count, weekly: count, monthly: count, yearly: count, last: count };
  const rule = map(
    {
      match: map(
        { class: list, agent: list, source: list },
        [],
        'Classes, names of PCs (* stands for any characters), root folders; any where not named.',
      ),
      lock: { ...term, description: 'For so long after its receipt nothing removes a version.' },
      keep: {
        anyOf: [
          { const: 'all' },
          map(
            { within: term, ...counts },
            ['within'],
            'Every state for a term after it was replaced, and the states at the ends of past days, weeks, months and years.',
          ),
        ],
      },
      gone: {
        anyOf: [{ const: 'forever' }, term],
        default: 'forever',
        description: 'For how long the last state of a file stays that is gone.',
      },
      unsafe: { type: 'boolean', description: 'A "within" below seven days is meant.' },
    },
    ['keep'],
    'The first rule that fits decides.',
  );
  const grace = {
    ...term,
    default: '7d',
    description: 'For so long what expired can be had back.',
  };
  const rules = { type: 'array', minItems: 1, maxItems: 1000, items: rule };
  return map({ grace, rules }, ['rules'], 'How long versions are kept; checked, not acted on yet.');
}

/** The settings as a table: name, what is accepted, default, meaning. */
export function configTable(): string {
  const rows = rowsOf(configJsonSchema() as Node, '');
  return `| setting | accepts | default | what it is for |\n| --- | --- | --- | --- |\n${rows.join('\n')}\n`;
}

/** The names of all settings, as the table has them. Test only: each must have a sentence. */
export function undescribedSettings(): readonly string[] {
  return rowsOf(configJsonSchema() as Node, '').filter((row) => row.endsWith('|  |'));
}

function rowsOf(node: Node, prefix: string): string[] {
  return Object.entries(node.properties ?? {}).flatMap(([name, child]) => {
    const path = `${prefix}${name}`;
    const needed = node.required?.includes(name) === true;
    const defaults = needed ? 'needed' : defaultText(child);
    const row = `| \`${path}\` | ${accepts(child)} | ${defaults} | ${(child.description ?? '').replaceAll('|', '\\|')} |`;
    const inner =
      child.items?.properties === undefined
        ? rowsOf(child, `${path}.`)
        : rowsOf(child.items, `${path}[].`);
    return [row, ...inner];
  });
}

function accepts(node: Node): string {
  if (node.enum !== undefined) return node.enum.map((value) => `\`${value}\``).join(', ');
  if (node.anyOf !== undefined) return 'a size: bytes, or `50GB`, `200MiB`';
  if (node.type === 'array')
    return node.items?.type === 'object' ? 'a list of maps' : 'a list of texts';
  if (node.type === 'object') return 'a map';
  if (node.type === 'number' || node.type === 'integer') {
    const { minimum, maximum } = node;
    return minimum === undefined || maximum === undefined
      ? 'a number'
      : `a number, ${minimum} to ${maximum}`;
  }
  return node.type === 'boolean' ? '`true` or `false`' : 'a text';
}

function defaultText({ default: value, type }: Node): string {
  if (value === undefined || (type === 'object' && JSON.stringify(value) === '{}')) return '';
  if (Array.isArray(value))
    return value.length === 0 ? 'none' : value.map((one) => `\`${one}\``).join(', ');
  return `\`${value}\``;
}
