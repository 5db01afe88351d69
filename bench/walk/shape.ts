/** What the imports and interfaces of a room look like, from its source text. */
import { type ESTree, Visitor } from 'vite';
import { isTest, parse, resolveImport, type SourceFile } from '../../scripts/lib/sources.ts';

export interface RoomShape {
  readonly room: string;
  readonly files: number;
  /** Files on the longest way of imports that stays in the room; a circle counts as one. */
  readonly floors: number;
  /** Groups of files that import each other in a ring. */
  readonly circles: number;
  /** The exported interface with the most methods, inherited ones too. */
  readonly widest: string;
  readonly methods: number;
}

interface Shown {
  readonly methods: ReadonlySet<string>;
  readonly parents: readonly string[];
}

/** The shape of one folder, with everything below it. */
export function shapeOf(room: string, sources: readonly SourceFile[]): RoomShape {
  const inside = sources.filter(({ path }) => path.startsWith(`${room}/`) && !isTest(path));
  const imports = new Map(inside.map((file) => [file.path, importsOf(file)]));
  const groups = groupsOf(imports);
  const interfaces = new Map(sources.flatMap(interfacesOf));
  const methodsOf = (name: string): Set<string> => {
    const { methods = [], parents = [] } = interfaces.get(name) ?? {};
    return new Set([...methods, ...parents.flatMap((parent) => [...methodsOf(parent)])]);
  };
  const [widest = '', methods = 0] =
    inside
      .flatMap(interfacesOf)
      .map(([name]): [string, number] => [name, methodsOf(name).size])
      .sort((a, b) => b[1] - a[1])[0] ?? [];
  return {
    room,
    files: inside.length,
    floors: floorsOf(groups, imports),
    circles: groups.filter((group) => group.length > 1).length,
    widest,
    methods,
  };
}

function importsOf(file: SourceFile): string[] {
  const { staticImports, staticExports } = parse(file).module;
  return [
    ...staticImports.map(({ moduleRequest }) => moduleRequest.value),
    ...staticExports.flatMap(({ entries }) =>
      entries.flatMap(({ moduleRequest }) => (moduleRequest ? [moduleRequest.value] : [])),
    ),
  ].flatMap((specifier) => resolveImport(file.path, specifier) ?? []);
}

/** Files in groups that reach each other (Tarjan), each group after those that it imports. */
function groupsOf(imports: ReadonlyMap<string, readonly string[]>): string[][] {
  const groups: string[][] = [];
  const numbers = new Map<string, number>();
  const open: string[] = [];
  const visit = (path: string): number => {
    const own = numbers.size;
    numbers.set(path, own);
    open.push(path);
    let lowest = own;
    for (const next of imports.get(path) ?? []) {
      if (!imports.has(next)) continue;
      const seen = numbers.get(next);
      if (seen === undefined) lowest = Math.min(lowest, visit(next));
      else if (open.includes(next)) lowest = Math.min(lowest, seen);
    }
    if (lowest === own) groups.push(open.splice(open.indexOf(path)));
    return lowest;
  };
  for (const path of imports.keys()) if (!numbers.has(path)) visit(path);
  return groups;
}

function floorsOf(
  groups: readonly (readonly string[])[],
  imports: ReadonlyMap<string, readonly string[]>,
): number {
  const floors = new Map<string, number>();
  for (const group of groups) {
    const below = group.flatMap((path) => imports.get(path) ?? []);
    const floor = 1 + Math.max(0, ...below.map((path) => floors.get(path) ?? 0));
    for (const path of group) floors.set(path, floor);
  }
  return Math.max(0, ...floors.values());
}

function interfacesOf(file: SourceFile): [string, Shown][] {
  const found: [string, Shown][] = [];
  const note = ({ id, body, extends: parents }: ESTree.TSInterfaceDeclaration) =>
    found.push([
      id.name,
      {
        methods: new Set(body.body.flatMap((member) => methodName(file, member) ?? [])),
        parents: parents.map(({ expression }) => file.text.slice(expression.start, expression.end)),
      },
    ]);
  new Visitor({
    ExportNamedDeclaration({ declaration }) {
      if (declaration?.type === 'TSInterfaceDeclaration') note(declaration);
    },
  }).visit(parse(file).program);
  return found;
}

function methodName(file: SourceFile, member: ESTree.TSSignature): string | undefined {
  const isMethod =
    member.type === 'TSMethodSignature' ||
    (member.type === 'TSPropertySignature' &&
      member.typeAnnotation?.typeAnnotation.type === 'TSFunctionType');
  return isMethod ? file.text.slice(member.key.start, member.key.end) : undefined;
}
