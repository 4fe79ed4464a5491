/** Text that was read in another encoding than it was written in, or cut between bytes: what a program made of it that no person writes. */

/** Characters of Windows-1252 for the bytes from 80 on; five have none. Latin-1, which it is mistaken for, has control characters there. */
const from80 =
  "\u20ac\u0081\u201a\u0192\u201e\u2026\u2020\u2021\u02c6\u2030\u0160\u2039\u0152\u008d\u017d\u008f\u0090\u2018\u2019\u201c\u201d\u2022\u2013\u2014\u02dc\u2122\u0161\u203a\u0153\u009d\u017e\u0178";
const byteOf = new Map([
  ...Array.from({ length: 128 }, (_, i) => [String.fromCharCode(128 + i), 128 + i] as const),
  ...[...from80].map((character, i) => [character, 128 + i] as const),
]);
const notAscii = /\P{ASCII}{2,}/gu;

const lost = /\ufffd/;
const control = /[^\P{Cc}\t\n\f\r]|\ufffe|\uffff/u;
/**
 * UTF-8 of a character, as bytes. Two bytes that begin with C2 or C3 are an accented letter of western languages; other pairs may be a letter before a closing quotation
 * mark, and are told by their company.
 */
const utf8 =
  /[\xc2\xc3][\x80-\xbf]|(?:[\xc4-\xdf][\x80-\xbf]){2,}|\xe0[\xa0-\xbf][\x80-\xbf]|[\xe1-\xef][\x80-\xbf]{2}|\xf0[\x90-\xbf][\x80-\xbf]{2}|[\xf1-\xf4][\x80-\xbf]{3}/;

/** What is damaged, in words; undefined where nothing is. */
export function encodingDamage(text: string): string | undefined {
  if (lost.test(text)) return "a character was lost in decoding (U+FFFD)";
  for (const [run] of text.matchAll(notAscii)) {
    const bytes = [...run].map((character) => String.fromCharCode(byteOf.get(character) ?? 0)).join("");
    const found = utf8.exec(bytes);
    if (found === null) continue;
    const shown = [...run].slice(found.index, found.index + found[0].length).join("");
    const meant = Buffer.from(found[0], "latin1").toString("utf8");
    return `UTF-8 was read as Windows-1252: ${JSON.stringify(shown)} for ${JSON.stringify(meant)}`;
  }
  const odd = control.exec(text)?.[0];
  return (
    odd && `it has the control character U+${odd.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}`
  );
}
