const DECIMAL = 1000;
const BINARY = 1024;
const LETTERS = 'KMGTP';

/** What a size may look like, for messages. */
export const SIZE_FORMS = 'a number of bytes, or one with its unit such as 50GB or 200MiB';

/**
 * `53687091200`, `50GB`, `1.5 GiB` in bytes, rounded down; undefined for anything else. `GB` is
 * 1000³, `GiB` 1024³, in any case of letters; `50G` alone is refused, because programs do not agree
 * on which of the two it means.
 */
export function parseSize(text: string): number | undefined {
  const parts = /^(\d{1,16}(?:\.\d{1,9})?) ?(?:([KMGTP])(I?))?(B?)$/i.exec(text.trim());
  if (parts === null) return undefined;
  const [, digits = '', letter = '', binary = '', unit = ''] = parts;
  if (letter !== '' && unit === '') return undefined;
  if (letter === '' && digits.includes('.')) return undefined;
  const base = binary === '' ? DECIMAL : BINARY;
  const bytes = Math.floor(
    Number(digits) * base ** (letter === '' ? 0 : LETTERS.indexOf(letter.toUpperCase()) + 1),
  );
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}
