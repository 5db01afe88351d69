/**
 * Each exported type has a name of its own in the whole repository: who meets `Place` must not have
 * to ask which. A re-export is the same name, and no second one.
 */
import { join } from 'node:path';
import {
  lineAt,
  parse,
  type RuleFinding,
  readSources,
  report,
  type SourceFile,
} from './lib/sources.ts';

const declarations = new Set([
  'TSInterfaceDeclaration',
  'TSTypeAliasDeclaration',
  'TSEnumDeclaration',
  'ClassDeclaration',
]);

/** Every exported type whose name an earlier file exports too. */
export function doubledTypes(files: readonly SourceFile[]): RuleFinding[] {
  const first = new Map<string, string>();
  return files.flatMap((file) =>
    exportedTypes(file).flatMap(({ name, start }): RuleFinding[] => {
      const place = `${file.path}:${lineAt(file.text, start)}`;
      const other = first.get(name);
      if (other === undefined) first.set(name, place);
      if (other === undefined || other === place) return [];
      const says = `${name} is the name of another exported type (${other}): rename the lesser one, or share one`;
      return [{ path: file.path, line: lineAt(file.text, start), says }];
    }),
  );
}

function exportedTypes(file: SourceFile): { readonly name: string; readonly start: number }[] {
  if (!file.text.includes('export ')) return [];
  return parse(file).program.body.flatMap((statement) => {
    if (statement.type !== 'ExportNamedDeclaration') return [];
    const { declaration } = statement;
    if (declaration === null || !declarations.has(declaration.type)) return [];
    if (!('id' in declaration) || declaration.id?.type !== 'Identifier') return [];
    return [{ name: declaration.id.name, start: statement.start }];
  });
}

if (import.meta.main)
  report('names of types', doubledTypes(readSources(join(import.meta.dirname, '..'))));
