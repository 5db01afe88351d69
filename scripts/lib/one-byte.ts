/**
 * The same code with its characters above U+00FF as escapes. V8 keeps a module's text while it
 * runs, and two bytes for each character of it when a single one needs them: one quotation mark in
 * a message doubled two megabytes. Throws where an escape would mean something else.
 */
export function oneByte(code: string, name: string): string {
  const raw = /(?:\\|String\.raw`[^`]*)[^\0-\xff]/.exec(code);
  if (raw !== null)
    throw new Error(
      `${name}: "${raw[0].slice(-40)}" cannot be written with an escape; write it with \\u in the source`,
    );
  return code.replaceAll(
    /[^\0-\xff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
