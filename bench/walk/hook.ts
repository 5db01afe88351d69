/**
 * Writes down, one a line, every function of the programs that is entered: loaded before the
 * program (`node --import`), in all its threads. `bench/walk.ts` counts the lines.
 */
import { openSync, readFileSync, writeSync } from 'node:fs';
import { registerHooks, syncBuiltinESMExports } from 'node:module';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import workers, { isMainThread, threadId } from 'node:worker_threads';
import { type ESTree, parseSync, Visitor } from 'vite';

const root = join(import.meta.dirname, '..', '..');
const OURS = /^(agent|collector|shared|proto)\/src\/(?!gen\/).*\.ts$/;
const out = openSync(
  `${process.env['WALK_TRACE']}-${process.pid}-${isMainThread ? 0 : threadId}`,
  'w',
);

let last = '';
Object.assign(globalThis, {
  // At once: a thread that is terminated has no moment for what it would still hold.
  walkedInto(where: string): void {
    if (where !== last) writeSync(out, `${where}\n`);
    last = where;
  },
});

/** The text with a call at the start of every function that has a body of statements. */
function instrument(path: string, text: string): string {
  const starts: { readonly offset: number; readonly call: string }[] = [];
  const note = ({ start, body }: ESTree.Function | ESTree.ArrowFunctionExpression) => {
    if (body?.type === 'BlockStatement')
      starts.push({ offset: body.start + 1, call: `walkedInto('${path}:${start}');` });
  };
  new Visitor({
    FunctionDeclaration: note,
    FunctionExpression: note,
    ArrowFunctionExpression: note,
  }).visit(parseSync(path, text).program);
  return starts
    .sort((a, b) => b.offset - a.offset)
    .reduce((done, { offset, call }) => done.slice(0, offset) + call + done.slice(offset), text);
}

registerHooks({
  load(url, context, nextLoad) {
    const loaded = nextLoad(url, context);
    const path = url.startsWith('file:') ? relative(root, fileURLToPath(url)) : '';
    if (!OURS.test(path)) return loaded;
    return { ...loaded, source: instrument(path, readFileSync(join(root, path), 'utf8')) };
  },
});

// A worker with options of its own (the capture thread's) does not inherit this module.
const Worker = workers.Worker;
workers.Worker = class extends Worker {
  constructor(url: string | URL, options: workers.WorkerOptions = {}) {
    const execArgv = [...(options.execArgv ?? []), '--import', import.meta.url];
    super(url, options.execArgv === undefined ? options : { ...options, execArgv });
  }
};
syncBuiltinESMExports();
