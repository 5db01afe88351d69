/**
 * The rules of the house that a general linter does not know: which room may import which, and who
 * may touch renames, flushes, the environment, the clock and chance. Every finding says the remedy.
 */
import { join, posix } from 'node:path';
import { Visitor } from 'vite';
import { circles } from './lib/circles.ts';
import { kitFindings } from './lib/kit-wall.ts';
import {
  isTest,
  lineAt,
  parse,
  type Room,
  type RuleFinding,
  readSources,
  report,
  resolveImport,
  roomOf,
  rooms,
  type SourceFile,
} from './lib/sources.ts';

const mayImport: Record<Room, readonly Room[]> = {
  proto: ['proto'],
  shared: ['shared', 'proto'],
  agent: ['agent', 'shared', 'proto'],
  collector: ['collector', 'shared', 'proto'],
};

/**
 * The inner rooms of each package, the lowest first: a program's file may import what is in its own
 * room and in earlier lines. A line names a folder below `src`, or a single file; a file belongs to
 * the longest name that fits, so a room may have rooms of its own. Rooms in one line stand side by
 * side, and neither imports the other.
 *
 * What a room needs from a later line moves into a room that both stand on, or is handed to it.
 */
const innerRooms: Readonly<Record<Room, readonly (string | readonly string[])[]>> = {
  proto: [
    ['types.ts', 'retention-types.ts', 'limits.ts', 'errors.ts', 'gen'],
    'order-types.ts',
    ['brand.ts', 'block-types.ts', 'desk-types.ts', 'log-types.ts', 'record-types.ts'],
    ['vault-types.ts', 'session-types.ts'],
    'door',
    'index.ts',
  ],
  shared: [
    ['ports.ts', 'serial.ts', 'json.ts', 'addon.ts', 'threads'],
    'crypto',
    'hashing',
    'durable',
    'records',
    'derived',
    'folder',
    'cli',
    'log-lines',
    'keys',
    'content/kernels',
    'content',
    'log',
    'commit',
    'session',
    'carry',
    ['release', 'diagnosis'],
    'settings',
    'restore',
  ],
  agent: [
    'identity',
    'source',
    'queue/log',
    'queue/ledger',
    'queue/intake',
    'queue/outbox',
    'queue',
    'capture',
    ['watch', 'courtesy', 'desk'],
    ['socket', 'machine'],
    'uplink',
    'folder',
    'carry',
    'restore',
    'status',
    'diagnose',
    'service',
    'update',
    'environment.ts',
    'commands',
    'main.ts',
  ],
  collector: [
    ['version.ts', 'environment.ts', 'limits.ts', 'held-clock.ts'],
    'api',
    ['hashing', 'releases', 'retention', 'collection'],
    'store',
    ['store/packs', 'store/history'],
    'store/vault-records.ts',
    'store/catalog',
    'store/vault-collection.ts',
    'store/vault-reading.ts',
    'store/vault-retention.ts',
    'store/vault-store.ts',
    'store/collector-store.ts',
    'store/vault',
    'store/faces',
    'store/stored-vault.ts',
    'store/vault-folder.ts',
    'store/collector.ts',
    'store/fsck',
    'ingest',
    ['carry', 'health'],
    'rest',
    'cli',
    ['operator', 'server'],
    'program.ts',
    'main.ts',
  ],
};

/**
 * What runs on the server. The operator's programs hold the kit and must have no part of it: they
 * know the server by what both say to each other (`api`). `lib/kit-wall.ts` has the other side: the
 * server never loads what opens a kit.
 */
const ofTheServer: ReadonlySet<string> = new Set([
  'hashing',
  'releases',
  'store',
  'ingest',
  'carry',
  'health',
  'rest',
  'server',
]);

const DURABLE_NAMES = /^(rename|fsync|fdatasync)(Sync)?$/;
const environmentFiles = new Set([
  'agent/src/environment.ts',
  'collector/src/environment.ts',
  'shared/src/cli/environment.ts',
]);
/**
 * Who may have standard output and standard error in hand: what is written passes
 * `shared/src/cli/terminal.ts`, so that no name or message from elsewhere steers a terminal.
 */
const outputFiles = new Set([
  'shared/src/cli/standard-output.ts',
  'shared/src/cli/run-main.ts',
  'shared/src/cli/passphrase.ts',
  'shared/src/log-lines/line-target.ts',
  // These hand them to `createOutput`, or ask how wide they are.
  'agent/src/commands/program.ts',
  'agent/src/commands/present.ts',
  'collector/src/main.ts',
]);
const PORTS_FILE = 'shared/src/ports.ts';
const CHANCE_NAMES =
  /^(randomBytes|randomUUID|randomInt|randomFill|randomFillSync|getRandomValues)$/;

interface Place {
  /** The room's line as it stands in the list, and its number. */
  readonly name: string;
  readonly line: number;
}

/** Where a file stands; undefined when no line names it. */
function placeOf(room: Room, path: string): Place | undefined {
  const below = posix.relative(`${room}/src`, path);
  let found: Place | undefined;
  for (const [line, names] of innerRooms[room].entries())
    for (const name of typeof names === 'string' ? [names] : names)
      if (
        (below === name || below.startsWith(`${name}/`)) &&
        name.length > (found?.name.length ?? -1)
      )
        found = { name, line };
  return found;
}

/** Why a program's file may not import another of its package; undefined when it may. */
function climbs(from: string, to: string): string | undefined {
  const room = roomOf(from);
  if (room === undefined) return undefined;
  const [here, there] = [placeOf(room, from), placeOf(room, to)];
  if (here === undefined || there === undefined || here.name === there.name) return undefined;
  if (room === 'collector' && here.name === 'operator' && isOfTheServer(there.name))
    return 'is of the server, of which the operator’s programs know only collector/src/api: ask it over HTTP';
  if (there.line < here.line) return undefined;
  const how = there.line === here.line ? 'aside' : 'up';
  return `reaches ${how} from ${here.name} to ${there.name}: move what it needs into a room that both stand on, or take it as a parameter (scripts/rooms.ts)`;
}

function isOfTheServer(name: string): boolean {
  return ofTheServer.has(name.split('/')[0] ?? '');
}

/** Whether a program's file stands in a room of the list. */
function hasPlace(path: string): boolean {
  const room = roomOf(path);
  return room === undefined || placeOf(room, path) !== undefined;
}

/** Lines of the list in which nothing stands any more; the generated code is made when needed. */
export function emptyRooms(files: readonly SourceFile[]): RuleFinding[] {
  return rooms.flatMap((room) => {
    const taken = new Set(
      files
        .filter(({ path }) => roomOf(path) === room)
        .map(({ path }) => placeOf(room, path)?.name),
    );
    return innerRooms[room]
      .flat()
      .filter((name) => name !== 'gen' && !taken.has(name))
      .map((name) => ({
        path: 'scripts/rooms.ts',
        line: 1,
        says: `innerRooms names ${room}/src/${name}, where nothing stands: take the line out`,
      }));
  });
}

/**
 * What is wrong in one file. Tests keep to the room rule only: they bend clocks and files on
 * purpose.
 */
export function roomFindings(file: SourceFile): RuleFinding[] {
  const room = roomOf(file.path);
  if (room === undefined) return [];
  const findings: RuleFinding[] = [];
  const add = (offset: number, says: string) =>
    findings.push({ path: file.path, line: lineAt(file.text, offset), says });
  const checked = !isTest(file.path);
  if (
    /\/src\/(.+\/)?(testing\/|fixtures\.ts$|test-[^/]*$|([a-z-]+-)?conformance\.ts$)/.test(
      file.path,
    )
  )
    add(0, `support for tests stands in src: move it to ${room}/testing`);
  else if (checked && !hasPlace(file.path))
    add(0, 'stands in no room of scripts/rooms.ts: move it into one, or add a line');

  const checkImport = (specifier: string, names: readonly string[], offset: number) => {
    const target = resolveImport(file.path, specifier);
    const [other] = target?.split('/') ?? [];
    if (target !== undefined && other !== room) {
      if (specifier.startsWith('.')) {
        add(
          offset,
          `leaves its room by a relative path: import it as @aliquot/${other}/…, if ${room} may`,
        );
      } else if (!mayImport[room].some((allowed) => allowed === other)) {
        add(
          offset,
          `${room} may not import ${other} (${room} imports ${mayImport[room].join(', ')}): move what both need to shared or proto`,
        );
      }
    }
    if (checked && target?.startsWith(`${other}/testing/`))
      add(offset, 'leans on support for tests: move what the program needs to src');
    const climb = checked && other === room && target && climbs(file.path, target);
    if (climb) add(offset, climb);
    if (specifier.startsWith('@aliquot/') && other === room)
      add(offset, `imports its own room by package name: use a relative path`);
    if (!checked) return;
    for (const name of names) {
      if (/^(node:)?fs(\/promises)?$/.test(specifier)) checkDurable(name, offset);
      if (/^(node:)?process$/.test(specifier) && name === 'env') checkEnvironment(offset);
      if (/^(node:)?crypto$/.test(specifier)) checkChance(name, offset);
    }
  };
  const checkDurable = (name: string, offset: number) => {
    if (!DURABLE_NAMES.test(name) || file.path.startsWith('shared/src/durable/')) return;
    add(
      offset,
      `${name} outside the durability module: use writeFileDurably or AppendFile of shared/src/durable`,
    );
  };
  const checkEnvironment = (offset: number) => {
    if (!environmentFiles.has(file.path))
      add(
        offset,
        `reads the environment: do it in ${room === 'shared' ? 'shared/src/cli' : `${room}/src`}/environment.ts and pass the value in`,
      );
  };
  const checkChance = (name: string, offset: number) => {
    if (CHANCE_NAMES.test(name) && file.path !== PORTS_FILE)
      add(offset, `${name} reaches for chance: take a Random (shared/src/ports.ts) as a parameter`);
  };

  const { program, module } = parse(file);
  for (const { moduleRequest, entries, start } of module.staticImports) {
    const names = entries.flatMap((entry) =>
      entry.importName.name === null || entry.importName.name === undefined
        ? []
        : [entry.importName.name],
    );
    checkImport(moduleRequest.value, names, start);
  }
  for (const { entries, start } of module.staticExports) {
    for (const entry of entries)
      if (entry.moduleRequest) checkImport(entry.moduleRequest.value, [], start);
  }
  new Visitor({
    ImportExpression(node) {
      if (node.source.type === 'Literal' && typeof node.source.value === 'string')
        checkImport(node.source.value, [], node.start);
    },
    MemberExpression(node) {
      if (!checked || node.property.type !== 'Identifier' || node.computed) return;
      const object = node.object.type === 'Identifier' ? node.object.name : '';
      const name = node.property.name;
      // A port's rename counts too: the rule is about the act, not about the import.
      checkDurable(name, node.start);
      if (object === 'process' && name === 'env') checkEnvironment(node.start);
      checkChance(name, node.start);
      const isOutput =
        (object === 'process' && /^std(out|err)$/.test(name)) || object === 'console';
      if (isOutput && !outputFiles.has(file.path))
        add(node.start, `${object}.${name} goes past the door to terminals: take an Output`);
      const isNow =
        (object === 'Date' && name === 'now') || (object === 'Math' && name === 'random');
      if (isNow && file.path !== PORTS_FILE) {
        add(
          node.start,
          `${object}.${name} is reached for inside: take a ${object === 'Date' ? 'Clock' : 'Random'} (shared/src/ports.ts) as a parameter`,
        );
      }
    },
    NewExpression(node) {
      if (
        !checked ||
        node.callee.type !== 'Identifier' ||
        node.callee.name !== 'Date' ||
        node.arguments.length > 0
      )
        return;
      if (file.path !== PORTS_FILE)
        add(
          node.start,
          'new Date() reads the clock: take a Clock (shared/src/ports.ts) as a parameter',
        );
    },
  }).visit(program);
  return findings;
}

if (import.meta.main) {
  const sources = readSources(join(import.meta.dirname, '..'));
  report(`rooms (${rooms.join(', ')})`, [
    ...sources.flatMap(roomFindings),
    ...emptyRooms(sources),
    ...circles(sources),
    ...kitFindings(sources),
  ]);
}
