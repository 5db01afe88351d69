import type { ESTree } from 'vite';
import type { SourceFile } from './sources.ts';
import { isTest, parse, type Room, roomOf } from './sources.ts';

/** One code of one area, as the source declares it. */
export interface DeclaredCode {
  readonly room: Room;
  readonly code: string;
  /** Whether a doc comment stands above it. */
  readonly explained: boolean;
}

/** A code of an error, with what its table says of it. */
export interface ErrorCode extends DeclaredCode {
  readonly waitingHelps: boolean;
}

/** A class of errors: a subclass of `AliquotError`. */
export interface ErrorClass {
  readonly path: string;
  readonly name: string;
  readonly hasCodes: boolean;
  /** The names of its own constructor's parameters; undefined when it has none. */
  readonly parameters: readonly string[] | undefined;
}

/** Every code of every table: `const codes = { … } satisfies ErrorCodes`. */
export function errorCodes(files: readonly SourceFile[]): ErrorCode[] {
  return declarations(files, 'satisfies ErrorCodes').flatMap(({ room, file, node, explains }) => {
    if (node.type !== 'VariableDeclaration') return [];
    return node.declarations.flatMap(({ init }) => {
      if (
        init?.type !== 'TSSatisfiesExpression' ||
        init.expression.type !== 'ObjectExpression' ||
        textOf(file, init.typeAnnotation) !== 'ErrorCodes'
      )
        return [];
      return init.expression.properties.flatMap((property) => {
        if (property.type !== 'Property' || property.value.type !== 'Literal') return [];
        const code = textOf(file, property.key);
        const waitingHelps = property.value.value === 'retryable';
        return [{ room, code, waitingHelps, explained: explains(property.start) }];
      });
    });
  });
}

/** Every member of every string union whose name has the ending, such as `ProblemCode`. */
export function unionCodes(files: readonly SourceFile[], ending: string): DeclaredCode[] {
  return declarations(files, ending).flatMap(({ room, node, explains }) => {
    if (node.type !== 'TSTypeAliasDeclaration' || !node.id.name.endsWith(ending)) return [];
    const { typeAnnotation } = node;
    const members = typeAnnotation.type === 'TSUnionType' ? typeAnnotation.types : [typeAnnotation];
    return members.flatMap((member) =>
      member.type === 'TSLiteralType' &&
      member.literal.type === 'Literal' &&
      typeof member.literal.value === 'string'
        ? [{ room, code: member.literal.value, explained: explains(member.start) }]
        : [],
    );
  });
}

/** Every subclass of `AliquotError`. */
export function errorClasses(files: readonly SourceFile[]): ErrorClass[] {
  return declarations(files, 'extends AliquotError').flatMap(({ file, node }) => {
    if (node.type !== 'ClassDeclaration') return [];
    if (node.superClass?.type !== 'Identifier' || node.superClass.name !== 'AliquotError')
      return [];
    let hasCodes = false;
    let parameters: string[] | undefined;
    for (const member of node.body.body) {
      if (member.type === 'PropertyDefinition' && member.static)
        hasCodes ||= textOf(file, member.key) === 'codes';
      if (member.type === 'MethodDefinition' && member.kind === 'constructor')
        parameters = member.value.params.map((one) => (/^\w+/.exec(textOf(file, one)) ?? [''])[0]);
    }
    return [{ path: file.path, name: node.id?.name ?? '', hasCodes, parameters }];
  });
}

interface Found {
  readonly room: Room;
  readonly file: SourceFile;
  readonly node: ESTree.Directive | ESTree.Statement | ESTree.Declaration;
  /** Whether a doc comment ends right before an offset. */
  explains(offset: number): boolean;
}

function textOf(file: SourceFile, { start, end }: { start: number; end: number }): string {
  return file.text.slice(start, end);
}

/** The statements of the rooms' files that hold some text, without their `export`. */
function declarations(files: readonly SourceFile[], needle: string): Found[] {
  return files.flatMap((file) => {
    const room = roomOf(file.path);
    if (room === undefined || isTest(file.path) || !file.text.includes(needle)) return [];
    const { program, comments } = parse(file);
    const docs = comments.filter(({ type, value }) => type === 'Block' && value.startsWith('*'));
    const explains = (offset: number) =>
      docs.some(({ end }) => end <= offset && /^[\s|]*$/.test(file.text.slice(end, offset)));
    return program.body.map((statement) => {
      const node =
        statement.type === 'ExportNamedDeclaration'
          ? (statement.declaration ?? statement)
          : statement;
      return { room, file, node, explains };
    });
  });
}

/** One row of a table of codes in `docs/`. */
export interface DocumentedCode {
  readonly room: string;
  readonly code: string;
  readonly meaning: string;
  readonly remedy: string;
}

/** `| code | yes or no, if the page has it | what it means | what to do |` */
const ROW = /^\| `([^`]+)` \|(?: (?:yes|no) \|)? (.*?) \| (.*?) \|$/;

/** The rows of a page: the room is the last heading of the second level above the table. */
export function documentedCodes(page: string): DocumentedCode[] {
  const found: DocumentedCode[] = [];
  let room = '';
  for (const line of page.split('\n')) {
    const heading = /^## ([a-z]+)/.exec(line);
    if (heading !== null) room = heading[1] ?? '';
    const [, code, meaning, remedy] = ROW.exec(line) ?? [];
    if (code !== undefined)
      found.push({ room, code, meaning: meaning?.trim() ?? '', remedy: remedy?.trim() ?? '' });
  }
  return found;
}

/** The page with the source's own answer in the second column of each row. */
export function withWaiting(page: string, codes: readonly ErrorCode[]): string {
  const helps = new Map(codes.map(({ code, waitingHelps }) => [code, waitingHelps]));
  const lines = page.split('\n').map((line) => {
    const [, code = '', meaning, remedy] = ROW.exec(line) ?? [];
    const known = helps.get(code);
    if (known === undefined) return line;
    return `| \`${code}\` | ${known ? 'yes' : 'no'} | ${meaning} | ${remedy} |`;
  });
  return lines.join('\n');
}
