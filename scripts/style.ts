/**
 * Two rules of style that the formatter does not know. Lines end before column 101: at most one in
 * fifty is longer, for texts and tables that cannot be broken. And a constant of a module that is
 * one value (a number, a text, a pattern, or made of such) is UPPER_SNAKE, while what has parts (an
 * object, a list, a set) is camelCase: capitals say "nothing in here moves".
 */
import { join } from 'node:path';
import type { ESTree } from 'vite';
import {
  lineAt,
  parse,
  type RuleFinding,
  readSources,
  report,
  type SourceFile,
} from './lib/sources.ts';

const COLUMNS = 100;
const MOST_LONG = 0.02;
const CAPITALS = /^[A-Z][A-Z0-9_]*$/;

/** The lines beyond the columns, when they are more than one in fifty of all. */
export function longLines(files: readonly SourceFile[]): RuleFinding[] {
  let lines = 0;
  const long = files.flatMap(({ path, text }) =>
    text.split('\n').flatMap((content, at): RuleFinding[] => {
      lines += 1;
      if (content.length <= COLUMNS) return [];
      return [{ path, line: at + 1, says: `has ${content.length} columns: break it` }];
    }),
  );
  return long.length <= lines * MOST_LONG ? [] : long;
}

/** The constants whose names are in the other style. */
export function misspelled(file: SourceFile): RuleFinding[] {
  return parse(file).program.body.flatMap((statement) => {
    const node = statement.type === 'ExportNamedDeclaration' ? statement.declaration : statement;
    if (node?.type !== 'VariableDeclaration' || node.kind !== 'const') return [];
    return node.declarations.flatMap(({ id, init }): RuleFinding[] => {
      if (id.type !== 'Identifier' || init === null) return [];
      const kind = kindOf(init);
      if (kind === undefined || CAPITALS.test(id.name) === (kind === 'value')) return [];
      const wanted =
        kind === 'value' ? 'UPPER_SNAKE, for it is one value' : 'camelCase, for it has parts';
      const line = lineAt(file.text, id.start);
      return [{ path: file.path, line, says: `${id.name} should be ${wanted}` }];
    });
  });
}

function kindOf(node: ESTree.Expression): 'value' | 'parts' | undefined {
  switch (node.type) {
    case 'Literal':
      return 'value';
    case 'TemplateLiteral':
      return node.expressions.every((one) => kindOf(one) === 'value') ? 'value' : undefined;
    case 'UnaryExpression':
      return kindOf(node.argument) === 'value' ? 'value' : undefined;
    case 'BinaryExpression': {
      const { left, right } = node;
      if (left.type === 'PrivateIdentifier') return undefined;
      return kindOf(left) === 'value' && kindOf(right) === 'value' ? 'value' : undefined;
    }
    case 'Identifier':
      return CAPITALS.test(node.name) ? 'value' : undefined;
    case 'TSAsExpression':
    case 'TSSatisfiesExpression':
      return kindOf(node.expression);
    case 'ArrayExpression':
    case 'ObjectExpression':
      return 'parts';
    case 'NewExpression':
      return node.callee.type === 'Identifier' && /^(Set|Map)$/.test(node.callee.name)
        ? 'parts'
        : undefined;
    default:
      return undefined;
  }
}

if (import.meta.main) {
  const sources = readSources(join(import.meta.dirname, '..'));
  report('style', [...longLines(sources), ...sources.flatMap(misspelled)]);
}
