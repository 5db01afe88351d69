/**
 * Two rules about errors.
 *
 * An unknown error ends the process, so no `catch` may swallow one. Each must throw, look at what
 * the error is (`instanceof`, `.code`, or a function that is given the error: `endWith`,
 * `whenForeseen`, `errnoOf`), keep it for somebody who awaits it, or say `Any error: why` in a
 * comment. A log line is no look: code that only writes an error down goes on in an unknown state.
 *
 * No regular expression judges an error's code or message: codes are compared, and messages are for
 * people. LevelDB says only in words what happened, so its one adapter reads them.
 */
import { join } from 'node:path';
import { type ESTree, Visitor } from 'vite';
import {
  isTest,
  lineAt,
  parse,
  type RuleFinding,
  readSources,
  report,
  roomOf,
  type SourceFile,
} from './lib/sources.ts';

const LEVEL_ADAPTER = 'shared/src/derived/level-trouble.ts';

const REMEDY =
  'swallows errors that nobody foresaw: check what it is, hand it to endWith or whenForeseen, or say "Any error: why"';

/** The places of a file where an unknown error would be swallowed. */
export function swallowed(file: SourceFile): RuleFinding[] {
  if (roomOf(file.path) === undefined || isTest(file.path)) return [];
  const found: RuleFinding[] = [];
  const judge = (start: number, end: number, body: string, name: string | undefined) => {
    const excused = /\bAny error: \S/.test(file.text.slice(Math.max(0, start - 120), end));
    if (excused || /\bthrow\b/.test(body) || (name !== undefined && isLookedAt(body, name))) return;
    found.push({ path: file.path, line: lineAt(file.text, start), says: REMEDY });
  };
  const text = ({ start, end }: { start: number; end: number }) => file.text.slice(start, end);
  const handler = (call: ESTree.CallExpression, given: ESTree.Argument | undefined) => {
    // A function by its name looks for itself.
    if (given?.type !== 'ArrowFunctionExpression') return;
    const [parameter] = given.params;
    const name = parameter && /^\w+/.exec(text(parameter))?.[0];
    // A promise with a name is awaited elsewhere: this only keeps it from counting as unhandled.
    const { callee } = call;
    const isKept = callee.type === 'MemberExpression' && /^[\w#.?]+$/.test(text(callee.object));
    if (!isKept || name !== undefined) judge(call.start, call.end, text(given.body), name);
  };
  const inThrowing: [number, number][] = [];
  new Visitor({
    CatchClause({ start, end, param, body }) {
      judge(start, end, text(body), param === null ? undefined : text(param));
      // What is tidied up on the way to a throw hides no error: the first one goes on.
      if (/\bthrow\b/.test(text(body))) inThrowing.push([start, end]);
    },
    CallExpression(call) {
      const { callee, arguments: given, start } = call;
      if (callee.type !== 'MemberExpression' || callee.property.type !== 'Identifier') return;
      if (inThrowing.some(([from, to]) => from < start && start < to)) return;
      if (callee.property.name === 'catch') handler(call, given[0]);
      if (callee.property.name === 'then' && given.length === 2) handler(call, given[1]);
    },
  }).visit(parse(file).program);
  return found;
}

/** Whether a body does more with an error than write its message somewhere. */
function isLookedAt(body: string, name: string): boolean {
  const rest = body
    .replaceAll(`${name} instanceof Error ? ${name}.message : String(${name})`, '')
    .replaceAll(`${name} instanceof Error ? ${name} : new Error(String(${name}))`, name)
    .replaceAll(`${name}.message`, '')
    .replaceAll(`String(${name})`, '')
    .replace(/\b(log|#log|logger)\.(debug|info|warn|error)\([^;]*;/g, '');
  return new RegExp(`\\b${name}\\b`).test(rest);
}

/** Where a regular expression is asked about the code or the message of an error. */
export function judgedByWords(file: SourceFile): RuleFinding[] {
  if (roomOf(file.path) === undefined || isTest(file.path) || file.path === LEVEL_ADAPTER)
    return [];
  const found: RuleFinding[] = [];
  new Visitor({
    CallExpression({ callee, arguments: [given], start }) {
      if (callee.type !== 'MemberExpression' || given === undefined) return;
      const whole = file.text.slice(start, given.end);
      const asked = /\.(test|exec)$/.test(file.text.slice(start, callee.end))
        ? file.text.slice(given.start, given.end)
        : /^(.*)\.(match|search)\(/.exec(whole)?.[1];
      if (asked === undefined || !/\b(error|cause|reason)?\.?(code|message)\)?$/.test(asked))
        return;
      if (/^problem\.code$/.test(asked)) return; // a word of ours, and of no error
      const says = 'reads an error by a regular expression: compare its code, or give it one';
      found.push({ path: file.path, line: lineAt(file.text, start), says });
    },
  }).visit(parse(file).program);
  return found;
}

if (import.meta.main) {
  const sources = readSources(join(import.meta.dirname, '..'));
  report('errors', [...sources.flatMap(swallowed), ...sources.flatMap(judgedByWords)]);
}
