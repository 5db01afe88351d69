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
 * The JSON schema of the policy file, for editors: sections that hold what `agent.yaml` holds, and
 * what only the desk says.
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
  const title = 'policy.yaml: what the PCs of an Aliquot vault are told';
  return { $schema, title, type: 'object', additionalProperties: false, properties: { agents } };
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
