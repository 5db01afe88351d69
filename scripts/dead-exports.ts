/**
 * Exports that nobody imports. A name is alive when another file that is no test imports it; a type
 * also when its own file uses it, because it describes what an export takes or gives. A file that
 * only tests or a later feature need says so in the export's doc comment: `Test only: why` or
 * `Seam: for what`.
 */
import { join } from 'node:path';
import {
  isTest,
  lineAt,
  parse,
  type RuleFinding,
  readSources,
  report,
  resolveImport,
  type SourceFile,
} from './lib/sources.ts';

/** Where programs and workers begin: nothing needs to import these. */
const isEntry = (path: string) =>
  /^[a-z]+\/src\/main\.ts$|^[^/]+\.ts$|^scripts\/|^[a-z]+\/scripts\/|^bench\/|^demo\/(demo|dev)\.ts$|^deploy\/(container\/alive|windows\/test)\.ts$/.test(
    path,
  );

const EXCUSE = /\b(Test only|Seam): \S/;

interface Export {
  readonly name: string;
  readonly offset: number;
  readonly isType: boolean;
}

interface Module {
  readonly file: SourceFile;
  readonly exports: readonly Export[];
  /**
   * Names (or `*`) that it takes from other files of ours; a re-export counts only when somebody
   * takes it from here.
   */
  readonly imports: readonly {
    readonly target: string;
    readonly name: string;
    readonly via: string | undefined;
  }[];
}

/** Dead exports and files that nobody imports. */
export function deadExports(files: readonly SourceFile[]): RuleFinding[] {
  const modules = new Map(files.map((file) => [file.path, read(file)]));
  const alive = new Set<string>();
  const reached = new Set<string>();
  const mark = (target: string, name: string) => {
    const key = `${target}#${name}`;
    if (alive.has(key)) return;
    alive.add(key);
    reached.add(target);
    // A name that passes through a re-export is alive where it comes from, too.
    for (const { target: origin, name: taken, via } of modules.get(target)?.imports ?? []) {
      if (via === undefined) continue;
      if (via === '*') mark(origin, name);
      else if (name === '*' || via === name) mark(origin, taken);
    }
  };
  for (const { file, imports } of modules.values()) {
    if (isTest(file.path)) continue;
    for (const { target, name, via } of imports) if (via === undefined) mark(target, name);
  }

  const findings: RuleFinding[] = [];
  for (const { file, exports } of modules.values()) {
    if (isTest(file.path) || isEntry(file.path)) continue;
    const excused = exports.map((one) => hasExcuse(file, one));
    if (!reached.has(file.path) && !excused.includes(true)) {
      findings.push({
        path: file.path,
        line: 1,
        says: 'no file but tests imports this one: use it, or take it away',
      });
      continue;
    }
    for (const [index, one] of exports.entries()) {
      if (
        alive.has(`${file.path}#${one.name}`) ||
        alive.has(`${file.path}#*`) ||
        excused[index] === true
      )
        continue;
      if (one.isType && mentions(file.text, one.name) > 1) continue;
      const says = `nothing imports ${one.name}: drop the export, use it, or say "Test only: why" or "Seam: for what" in its comment`;
      findings.push({ path: file.path, line: lineAt(file.text, one.offset), says });
    }
  }
  return findings;
}

function read(file: SourceFile): Module {
  const result = parse(file);
  const exports: Export[] = [];
  const imports: { target: string; name: string; via: string | undefined }[] = [];
  const take = (specifier: string, name: string, via?: string) => {
    const target = resolveImport(file.path, specifier);
    if (target !== undefined) imports.push({ target, name, via });
  };
  for (const { moduleRequest, entries } of result.module.staticImports) {
    if (entries.length === 0) take(moduleRequest.value, '*');
    for (const { importName } of entries)
      take(
        moduleRequest.value,
        importName.kind === 'Name'
          ? (importName.name ?? '*')
          : importName.kind === 'Default'
            ? 'default'
            : '*',
      );
  }
  for (const { entries, start } of result.module.staticExports) {
    for (const entry of entries) {
      const name = entry.exportName.name ?? '*';
      if (entry.moduleRequest) take(entry.moduleRequest.value, entry.importName.name ?? '*', name);
      else
        exports.push({
          name: entry.exportName.kind === 'Default' ? 'default' : name,
          offset: start,
          isType: entry.isType || isTypeDeclaration(file, start),
        });
    }
  }
  for (const specifier of addressedFiles(file.text)) take(specifier, '*');
  return { file, exports, imports };
}

/**
 * `import('./x.ts')`, and workers: `new URL('./x.ts', import.meta.url)`, also where an expression
 * chooses the file.
 */
function addressedFiles(text: string): string[] {
  const calls = [...text.matchAll(/\b(?:import|new URL)\(([^)]*)\)/g)].map(
    (match) => match[1] ?? '',
  );
  const literals = calls.flatMap((call) =>
    [...call.matchAll(/['"]([^'"]+)['"]/g)].map((match) => match[1] ?? ''),
  );
  return literals.map((literal) => literal.replace(/\.js$/, '.ts'));
}

/**
 * What describes an export rather than being one. Error classes belong here: callers tell errors
 * apart by their code.
 */
function isTypeDeclaration(file: SourceFile, start: number): boolean {
  return /^export\s+((declare\s+)?(interface|type)\b|(abstract\s+)?class\s+\w+Error\b)/.test(
    file.text.slice(start, start + 60),
  );
}

function hasExcuse(file: SourceFile, one: Export): boolean {
  const before = file.text.slice(0, one.offset).trimEnd();
  if (!before.endsWith('*/')) return false;
  return EXCUSE.test(before.slice(before.lastIndexOf('/**')).replace(/\s+\*?\s*/g, ' '));
}

function mentions(text: string, name: string): number {
  return text.split(new RegExp(`(?<![\\w$])${name.replaceAll('$', '\\$')}(?![\\w$])`)).length - 1;
}

if (import.meta.main)
  report('dead exports', deadExports(readSources(join(import.meta.dirname, '..'))));
