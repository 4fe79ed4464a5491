/**
 * Patterns of what identifies people: addresses, numbers of telephones, cards, accounts. What is checked by a sum is told by it; addresses and numbers that are set apart for
 * examples (RFC 2606, RFC 5737, 555-01xx) are nobody's.
 */

interface Pattern {
  readonly what: string;
  readonly pattern: RegExp;
  readonly isOne?: (found: string) => boolean;
}

const digitsOf = (text: string): string => text.replace(/\D/g, "");

const patterns: readonly Pattern[] = [
  {
    what: "an e-mail address",
    pattern: /[\w.%+-]+@(?:[a-z0-9-]+\.)+[a-z]{2,}\b/gi,
    isOne: (found) =>
      !/(?:@|\.)(?:example\.(?:com|org|net|edu)|example|test|invalid|localhost)$/i.test(found),
  },
  {
    what: "a telephone number",
    pattern: /(?<![\w.+)])\+\d{1,3}[ .-]?(?:\(\d{1,4}\)[ .-]?)?\d{1,4}(?:[ .-]\d{2,4}){1,4}(?![\w.]?\d)/g,
    isOne: (found) =>
      digitsOf(found).length >= 9 && digitsOf(found).length <= 15 && !/555.?01\d\d$/.test(found),
  },
  {
    what: "a telephone number",
    pattern: /(?<![\w.-])(?:\([2-9]\d{2}\) ?|[2-9]\d{2}[.-])[2-9]\d{2}[.-]\d{4}(?![\w-])/g,
    isOne: (found) => !/555.?01\d\d$/.test(found),
  },
  {
    what: "the number of a payment card",
    pattern:
      /(?<![\w.-])(?:4\d{3}|5[1-5]\d{2}|2[2-7]\d{2}|3[47]\d{2}|6(?:011|5\d{2}))(?:[ -]?\d{2,6}){2,4}(?![\w.-]?\d)/g,
    isOne: (found) => [13, 15, 16].includes(digitsOf(found).length) && isLuhn(digitsOf(found)),
  },
  {
    what: "the number of a bank account (IBAN)",
    pattern: /\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b/g,
    isOne: (found) => isIban(found.replaceAll(" ", "")),
  },
  {
    what: "a social security number",
    pattern: /(?<![\w.-])(?!000|666|9\d\d)\d{3}-(?!00)\d{2}-(?!0000)\d{4}(?![\w-])/g,
  },
  {
    what: "an IP address",
    pattern: /(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w]|\.\d)/g,
    isOne: isPublicAddress,
  },
];

/** What is found first, with its beginning alone; undefined where nothing is. */
export function personalData(text: string): string | undefined {
  for (const { what, pattern, isOne } of patterns)
    for (const [found] of text.matchAll(pattern))
      if (isOne?.(found) ?? true) return `${what} (${found.slice(0, 3)}...)`;
  return undefined;
}

function isLuhn(digits: string): boolean {
  const sum = [...digits].reverse().reduce((all, digit, i) => {
    const value = Number(digit) * (i % 2 === 0 ? 1 : 2);
    return all + (value > 9 ? value - 9 : value);
  }, 0);
  return sum % 10 === 0;
}

/** ISO 13616: the first four characters go to the end, letters are 10 to 35, and the number is 1 modulo 97. */
function isIban(text: string): boolean {
  if (text.length < 15 || text.length > 34) return false;
  const digits = [...text.slice(4), ...text.slice(0, 4)]
    .map((character) => Number.parseInt(character, 36))
    .join("");
  return [...digits].reduce((rest, digit) => (rest * 10 + Number(digit)) % 97, 0) === 1;
}

/** Neither private, local or for examples, nor one of the resolvers that documentation names. */
function isPublicAddress(text: string): boolean {
  const parts = text.split(".").map(Number);
  const [a, b, c] = parts as [number, number, number];
  if (parts.some((part) => part > 255) || /(?:^|\.)0\d/.test(text)) return false;
  if (a === 0 || a === 10 || a === 127 || a >= 224) return false;
  if ((a === 172 && b >= 16 && b < 32) || (a === 192 && b === 168) || (a === 169 && b === 254)) return false;
  if (
    (a === 192 && b === 0 && c === 2) ||
    (a === 198 && b === 51 && c === 100) ||
    (a === 203 && b === 0 && c === 113)
  )
    return false;
  return !["8.8.8.8", "8.8.4.4", "1.1.1.1", "1.0.0.1"].includes(text) && parts.some((part) => part > 9);
}
