import {
  isTest,
  parse,
  type RuleFinding,
  resolveImport,
  roomOf,
  type SourceFile,
} from './sources.ts';

/**
 * Files of programs that import each other in a circle, types included: none of them can be read,
 * moved or replaced without the others. One finding for each circle, with a way round it.
 */
export function circles(files: readonly SourceFile[]): RuleFinding[] {
  const programs = files.filter(({ path }) => roomOf(path) !== undefined && !isTest(path));
  const known = new Set(programs.map(({ path }) => path));
  const imports = new Map(
    programs.map((file) => [file.path, importsOf(file).filter((path) => known.has(path))]),
  );
  const findings: RuleFinding[] = [];
  const told = new Set<string>();
  for (const path of imports.keys()) {
    if (told.has(path)) continue;
    const circle = shortestBack(imports, path);
    if (circle === undefined) continue;
    for (const one of circle) told.add(one);
    const way = [...circle, path].join(' → ');
    const says = `imports itself in a circle (${way}): move what both ends need into a file of its own`;
    findings.push({ path, line: 1, says });
  }
  return findings;
}

function importsOf(file: SourceFile): string[] {
  const { module } = parse(file);
  const specifiers = [
    ...module.staticImports.map(({ moduleRequest }) => moduleRequest.value),
    ...module.staticExports.flatMap(({ entries }) =>
      entries.flatMap(({ moduleRequest }) => moduleRequest?.value ?? []),
    ),
  ];
  return specifiers.flatMap((specifier) => resolveImport(file.path, specifier) ?? []);
}

/** The files of the shortest way from one file back to it; undefined when there is none. */
function shortestBack(
  imports: ReadonlyMap<string, readonly string[]>,
  start: string,
): readonly string[] | undefined {
  const cameFrom = new Map<string, string>();
  const reached = [start];
  for (let at = 0; at < reached.length; at += 1) {
    const from = reached[at] as string;
    for (const to of imports.get(from) ?? []) {
      if (to === start) {
        const way = [from];
        for (let back = from; back !== start; way.unshift(back)) back = cameFrom.get(back) ?? start;
        return way;
      }
      if (cameFrom.has(to)) continue;
      cameFrom.set(to, from);
      reached.push(to);
    }
  }
  return undefined;
}
