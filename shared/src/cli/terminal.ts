/**
 * The one door to terminals, for both programs: whatever came from the other side, or from a file's
 * name, passes it and can neither steer a terminal nor hide in it. Behind every output of a command
 * (`standard-output.ts`, `output.ts`, `run-main.ts`) and every line of a log (`log-lines/log.ts`),
 * so that no command has to think of it; `printable` of `format.ts` is for values within a line.
 */

/** Zero width, and no more than part of one emoji. */
const JOINS = String.raw`(?<=[\p{Extended_Pictographic}\p{Emoji_Modifier}\ufe0f])\u200d(?=\p{Extended_Pictographic})`;
const SHAPES = String.raw`(?<=\p{Extended_Pictographic})\ufe0f`;
/** C0, DEL and C1; halves of pairs, which are no UTF-8; line and paragraph separators. */
const CONTROLS = String.raw`\p{Cc}\p{Cs}\p{Zl}\p{Zp}`;
/** What turns the direction of text, and what shows nothing: zero width, fillers, tags. */
const HIDDEN = String.raw`\p{Bidi_Control}\p{Default_Ignorable_Code_Point}\ufff9-\ufffb`;
const STEERING = new RegExp(`(?!${JOINS}|${SHAPES})[${CONTROLS}${HIDDEN}]`, 'gu');
/** Most of what is said: looked at quickly. */
const PLAIN = /^[\x20-\x7e\n]*$/;

/**
 * A sign by its number, as it can be given back on the command line (`pathCandidates`): `\xNN` is a
 * byte, which below 128 is the sign itself.
 */
function spelled(sign: string): string {
  const code = sign.codePointAt(0) ?? 0;
  return code < 128 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u{${code.toString(16)}}`;
}

/** One value within a line: nothing in it steers, and it begins no line of its own. */
export function escaped(text: string): string {
  return text.replace(STEERING, spelled);
}

/** Lines as a command says them: line feeds and tabs are its own. */
export function forTerminal(text: string): string {
  if (PLAIN.test(text)) return text;
  return text.replace(STEERING, (sign) => (sign === '\n' || sign === '\t' ? sign : spelled(sign)));
}

/** JSON that means the same and holds no such sign, but the line feed that ends it. */
export function plainJson(json: string): string {
  if (PLAIN.test(json)) return json;
  return json.replace(STEERING, (sign) => {
    if (sign === '\n') return sign;
    let text = '';
    for (let at = 0; at < sign.length; at += 1)
      text += `\\u${sign.charCodeAt(at).toString(16).padStart(4, '0')}`;
    return text;
  });
}
