import {
  isTest,
  lineAt,
  parse,
  type RuleFinding,
  resolveImport,
  type SourceFile,
} from './sources.ts';

/**
 * Programs on machines that must never hold a kit, and the modules that they must not load: those
 * which open a recovery kit or an operator's key file, and, on the server, which derive keys at all
 * (a PC derives its own from its bundle).
 */
const walls: readonly { readonly folder: string; readonly keys: readonly string[] }[] = [
  { folder: 'collector/src/server/', keys: ['kit', 'operator', 'bundle', 'derive'] },
  { folder: 'agent/src/', keys: ['kit', 'operator'] },
];

interface Import {
  readonly target: string;
  readonly offset: number;
}

/** What a file loads when it runs: its imports and re-exports, types aside. */
function loadedBy(file: SourceFile): Import[] {
  const found: Import[] = [];
  const add = (specifier: string, offset: number) => {
    const target = resolveImport(file.path, specifier);
    if (target !== undefined) found.push({ target, offset });
  };
  const { module } = parse(file);
  for (const { moduleRequest, entries, start } of module.staticImports)
    if (entries.length === 0 || entries.some(({ isType }) => !isType))
      add(moduleRequest.value, start);
  for (const { entries, start } of module.staticExports)
    for (const { moduleRequest, isType } of entries)
      if (moduleRequest && !isType) add(moduleRequest.value, start);
  for (const { moduleRequest } of module.dynamicImports) {
    const specifier = /^['"](.+)['"]$/.exec(
      file.text.slice(moduleRequest.start, moduleRequest.end),
    )?.[1];
    if (specifier !== undefined) add(specifier, moduleRequest.start);
  }
  return found;
}

/**
 * Where a program that must not hold the kit would load the modules that open one, by whatever way:
 * one finding for each such import, with the files that lead there.
 */
export function kitFindings(sources: readonly SourceFile[]): RuleFinding[] {
  const files = new Map(sources.map((file) => [file.path, file]));
  return walls.flatMap(({ folder, keys }) => {
    const forbidden = new Set(keys.map((name) => `shared/src/keys/${name}.ts`));
    const first = [...files.keys()].filter((path) => path.startsWith(folder) && !isTest(path));
    return findingsFrom(files, first, forbidden);
  });
}

function findingsFrom(
  files: ReadonlyMap<string, SourceFile>,
  first: readonly string[],
  forbidden: ReadonlySet<string>,
): RuleFinding[] {
  const findings: RuleFinding[] = [];
  const by = new Map<string, string | undefined>(first.map((path) => [path, undefined]));
  // A map may grow while it is walked.
  for (const path of by.keys()) {
    const file = files.get(path);
    if (file === undefined) continue;
    for (const { target, offset } of loadedBy(file)) {
      if (forbidden.has(target)) {
        const way = [target];
        for (let at: string | undefined = path; at !== undefined; at = by.get(at)) way.unshift(at);
        const line = lineAt(file.text, offset);
        const says = `a program that must not hold the kit would load what opens it (${way.join(' → ')}): verify with certificates only, or move what it needs out of ${target}`;
        findings.push({ path, line, says });
      } else if (!by.has(target)) by.set(target, path);
    }
  }
  return findings;
}
