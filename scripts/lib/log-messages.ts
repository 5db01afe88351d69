import { Visitor } from 'vite';
import { isTest, parse, roomOf, type SourceFile } from './sources.ts';

const levels = new Set(['trace', 'debug', 'info', 'warn', 'error', 'fatal']);

/**
 * Every sentence that the services log, as it stands in the source: the text argument of
 * `log.info(…)` and its like.
 */
export function loggedMessages(files: readonly SourceFile[]): readonly string[] {
  const found: string[] = [];
  for (const file of files) {
    if (roomOf(file.path) === undefined || isTest(file.path) || !/\blog\b/i.test(file.text))
      continue;
    new Visitor({
      CallExpression({ callee, arguments: given }) {
        if (
          callee.type !== 'MemberExpression' ||
          callee.property.type !== 'Identifier' ||
          !levels.has(callee.property.name)
        )
          return;
        // `log.info`, `parts.log.info`, `this.#log.info`: the console and everything else is not
        // meant.
        if (!/(^|[.#])log$/i.test(file.text.slice(callee.object.start, callee.object.end))) return;
        for (const argument of given) found.push(...textsOf(argument));
      },
    }).visit(parse(file).program);
  }
  return found;
}

interface Expression {
  readonly type: string;
}

/**
 * The literal texts that an argument may be: itself, or either side of a choice. A text that is put
 * together at run time does not count.
 */
function textsOf(
  argument: Expression & {
    readonly value?: unknown;
    readonly consequent?: unknown;
    readonly alternate?: unknown;
  },
): string[] {
  if (argument.type === 'Literal' && typeof argument.value === 'string') return [argument.value];
  if (argument.type !== 'ConditionalExpression') return [];
  return [argument.consequent, argument.alternate].flatMap((side) => textsOf(side as Expression));
}
