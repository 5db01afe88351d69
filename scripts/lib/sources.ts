import { readdirSync, readFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { type ParseResult, parseSync } from 'vite';

/** A source file by its path from the project's root, with `/` on every platform. */
export interface SourceFile {
  readonly path: string;
  readonly text: string;
}

/** Something that a rule has to say, with the way out. */
export interface RuleFinding {
  readonly path: string;
  readonly line: number;
  readonly says: string;
}

export const rooms = ['proto', 'shared', 'agent', 'collector'] as const;
export type Room = (typeof rooms)[number];

const skipped = new Set(['node_modules', 'dist', 'gen', '.git', '.turbo']);

/** Every TypeScript file of the project, declarations of other people's modules aside. */
export function readSources(root: string): SourceFile[] {
  const files: SourceFile[] = [];
  const walk = (folder: string) => {
    for (const entry of readdirSync(join(root, folder), { withFileTypes: true })) {
      const path = posix.join(folder, entry.name);
      if (entry.isDirectory() && !skipped.has(entry.name)) walk(path);
      else if (entry.isFile() && /\.ts$/.test(entry.name) && !entry.name.endsWith('.d.ts'))
        files.push({ path, text: readFileSync(join(root, path), 'utf8') });
    }
  };
  walk('');
  return files.sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** Tests, what only tests use, and what runs only in development. */
export function isTest(path: string): boolean {
  return /\.test\.ts$|^(test|torture)\/|\/testing\//.test(path);
}

/** The room a file belongs to, support for its tests too; undefined for the house around them. */
export function roomOf(path: string): Room | undefined {
  return rooms.find(
    (room) => path.startsWith(`${room}/src/`) || path.startsWith(`${room}/testing/`),
  );
}

/**
 * Parses with the parser that vite brings along (oxc): TypeScript 7 itself has no interface for
 * programs.
 */
export function parse(file: SourceFile): ParseResult {
  const result = parseSync(file.path, file.text);
  const [error] = result.errors;
  if (error !== undefined) throw new Error(`${file.path}: ${error.message}`);
  return result;
}

export function lineAt(text: string, offset: number): number {
  return text.slice(0, offset).split('\n').length;
}

/** The file that an import leads to; undefined when it is not one of ours. */
export function resolveImport(from: string, specifier: string): string | undefined {
  if (specifier.startsWith('.')) return posix.join(posix.dirname(from), specifier);
  const [, room, below] = /^@aliquot\/([a-z]+)(?:\/(.+))?$/.exec(specifier) ?? [];
  if (room === undefined) return undefined;
  return `${room}/${below?.startsWith('testing/') ? '' : 'src/'}${below ?? 'index'}.ts`;
}

/** Prints findings one a line, says how many there are, and sets the exit code. */
export function report(what: string, findings: readonly RuleFinding[]): void {
  for (const { path, line, says } of findings) console.error(`${path}:${line}  ${says}`);
  console.log(
    `${what}: ${findings.length === 0 ? 'nothing to mend' : `${findings.length} to mend`}`,
  );
  process.exitCode = findings.length === 0 ? 0 : 1;
}
