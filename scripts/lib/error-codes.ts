import type { SourceFile } from './sources.ts';
import { isTest, parse, type Room, roomOf } from './sources.ts';

/** One code of one area, as the source declares it. */
export interface DeclaredCode {
  readonly room: Room;
  /** The union's name, such as `FileErrorCode`. */
  readonly union: string;
  readonly code: string;
  /** Whether a doc comment stands above it. */
  readonly explained: boolean;
}

/**
 * Every member of every exported string union whose name ends in `ErrorCode`, or in another ending.
 */
export function declaredCodes(files: readonly SourceFile[], ending = 'ErrorCode'): DeclaredCode[] {
  const found: DeclaredCode[] = [];
  for (const file of files) {
    const room = roomOf(file.path);
    if (room === undefined || isTest(file.path) || !file.text.includes(ending)) continue;
    const { program, comments } = parse(file);
    for (const statement of program.body) {
      const declaration =
        statement.type === 'ExportNamedDeclaration' ? statement.declaration : statement;
      if (declaration?.type !== 'TSTypeAliasDeclaration' || !declaration.id.name.endsWith(ending))
        continue;
      const { typeAnnotation } = declaration;
      const members =
        typeAnnotation.type === 'TSUnionType' ? typeAnnotation.types : [typeAnnotation];
      for (const member of members) {
        if (
          member.type !== 'TSLiteralType' ||
          member.literal.type !== 'Literal' ||
          typeof member.literal.value !== 'string'
        )
          continue;
        const before = comments.filter(
          (comment) =>
            comment.type === 'Block' &&
            comment.value.startsWith('*') &&
            comment.end <= member.start,
        );
        const explained = before.some((comment) =>
          /^[\s|]*$/.test(file.text.slice(comment.end, member.start)),
        );
        found.push({ room, union: declaration.id.name, code: member.literal.value, explained });
      }
    }
  }
  return found;
}

/** One row of a table in `docs/errors.md`. */
export interface DocumentedCode {
  readonly room: string;
  readonly code: string;
  readonly meaning: string;
  readonly remedy: string;
}

/** The rows of the page: the room is the last heading of the second level above the table. */
export function documentedCodes(page: string): DocumentedCode[] {
  const found: DocumentedCode[] = [];
  let room = '';
  for (const line of page.split('\n')) {
    const heading = /^## ([a-z]+)/.exec(line);
    if (heading !== null) room = heading[1] ?? '';
    const [, code, meaning, remedy] = /^\| `([^`]+)` \| (.*?) \| (.*?) \|$/.exec(line) ?? [];
    if (code !== undefined)
      found.push({ room, code, meaning: meaning?.trim() ?? '', remedy: remedy?.trim() ?? '' });
  }
  return found;
}
