/** What such a file is called in messages, behind "is written in" and the like. */
export const UTF16_NAME = 'UTF-16, as PowerShell’s > writes it';
/** The same with the way out. */
export const UTF16_TEXT = `${UTF16_NAME}; save it as UTF-8 (in PowerShell: Out-File -Encoding utf8)`;

/**
 * Whether this is the beginning of a text in UTF-16, which PowerShell's `>` and old Notepad write:
 * in the letters of our files every second byte is zero then. As bytes, or as text that was decoded
 * as if it were UTF-8.
 */
export function isUtf16(given: string | Uint8Array): boolean {
  if (typeof given === 'string')
    return /^(\ufffd\ufffd|\ufeff)?([^\0]\0[^\0]\0|\0[^\0]\0[^\0])/.test(given);
  const [a, b, c, d] = given;
  if ((a === 0xff && b === 0xfe) || (a === 0xfe && b === 0xff)) return true;
  return (
    given.length >= 4 &&
    ((b === 0 && d === 0 && a !== 0 && c !== 0) || (a === 0 && c === 0 && b !== 0 && d !== 0))
  );
}
