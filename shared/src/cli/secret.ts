import { isUtf8 } from 'node:buffer';
import { UsageError } from './errors.ts';
import { isUtf16, UTF16_NAME } from './utf16.ts';

/** The byte order mark, by which an editor says that it wrote UTF-8. */
const utf8Mark = [0xef, 0xbb, 0xbf];

/**
 * A secret as a person would type it, from whatever carried it: a file (bytes), or the environment
 * or the terminal (text). Line ends at its end are not part of it. What could not be typed again,
 * or looks like something else, is refused: a kit under such a passphrase opens for nobody.
 *
 * @param what names the secret and its origin, as in "the passphrase in ALIQUOT_PASSPHRASE"; the
 * secret itself is in no message
 *
 * Errors: `USAGE_INVALID`.
 */
export function secretFrom(given: string | Uint8Array, what: string): string {
  const refuse = (why: string) => new UsageError('USAGE_INVALID', `${what} ${why}`);
  if (typeof given !== 'string') {
    if (isUtf16(given))
      throw refuse(
        `is written in ${UTF16_NAME}; save it as plain UTF-8 (in PowerShell: Out-File -Encoding ascii)`,
      );
    if (utf8Mark.every((byte, at) => given[at] === byte))
      throw refuse('is written in UTF-8 with a byte order mark; save it as plain UTF-8');
    if (!isUtf8(given)) throw refuse('is not UTF-8; save it as plain UTF-8');
  }
  const text = (typeof given === 'string' ? given : Buffer.from(given).toString('utf8')).replace(
    /[\r\n]+$/,
    '',
  );
  if (text === '') throw refuse('is empty');
  // What was no UTF-8 in the environment is this character by the time that a program sees it:
  // different bytes would be the same secret.
  if (text.includes('\ufffd') || !text.isWellFormed())
    throw refuse('is not UTF-8; write it in UTF-8, or in letters of ASCII');
  if (/[\r\n]/.test(text))
    throw refuse('has more than one line; it is the first line alone, so take the others away');
  if (/\p{Cc}/u.test(text))
    throw refuse(
      'holds a control character (a tab, an arrow key, UTF-16); write it in letters, digits and blanks',
    );
  if (/^[\s\p{Cf}]|[\s\p{Cf}]$/u.test(text))
    throw refuse('begins or ends with a blank, which nobody would see; take it away');
  return text;
}
