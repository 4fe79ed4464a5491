/** Numbers written as words: English ("forty-two") and Chinese and Japanese (三十五, 二分之一, 百分之五十). */
import { add, divide, ONE, type Rational, rational, ZERO } from "./rational.js";

const SMALL = new Map(
  (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen " +
    "nineteen"
  )
    .split(" ")
    .map((word, value) => [word, value]),
);
const TENS = new Map(
  "twenty thirty forty fifty sixty seventy eighty ninety".split(" ").map((word, i) => [word, 20 + 10 * i]),
);
const SCALES = new Map([
  ["thousand", 1_000n],
  ["million", 1_000_000n],
  ["billion", 1_000_000_000n],
  ["trillion", 1_000_000_000_000n],
]);

/** The value of a text that is one English number in words and nothing else. */
export function englishNumber(text: string): bigint | undefined {
  const words = text
    .toLowerCase()
    .trim()
    .split(/[\s-]+/)
    .filter((word) => word !== "and");
  if (words.length === 0 || words.length > 40) return undefined;
  const sign = words[0] === "minus" || words[0] === "negative" ? -1n : 1n;
  if (sign < 0n) words.shift();
  let total = 0n;
  let group = 0n;
  let seen = false;
  for (const word of words) {
    const small = SMALL.get(word) ?? TENS.get(word);
    const scale = SCALES.get(word);
    if (small !== undefined) group += BigInt(small);
    else if (word === "hundred") group = (group === 0n ? 1n : group) * 100n;
    else if (scale !== undefined) {
      total += (group === 0n ? 1n : group) * scale;
      group = 0n;
    } else return undefined;
    seen = true;
  }
  return seen ? sign * (total + group) : undefined;
}

const DIGITS = new Map(
  [..."〇一二三四五六七八九"]
    .map((char, value): [string, number] => [char, value])
    .concat([
      ["零", 0],
      ["两", 2],
      ["兩", 2],
      ["壹", 1],
      ["贰", 2],
      ["叁", 3],
      ["肆", 4],
      ["伍", 5],
      ["陆", 6],
      ["柒", 7],
      ["捌", 8],
      ["玖", 9],
    ]),
);
const UNITS = new Map([
  ["十", 10n],
  ["拾", 10n],
  ["百", 100n],
  ["佰", 100n],
  ["千", 1000n],
  ["仟", 1000n],
]);
const GROUPS = new Map([
  ["万", 10_000n],
  ["萬", 10_000n],
  ["亿", 100_000_000n],
  ["億", 100_000_000n],
]);

function chineseInteger(text: string): bigint | undefined {
  if (text === "" || text.length > 40) return undefined;
  // Digits one after another, 二〇二四.
  if ([...text].every((char) => DIGITS.has(char)))
    return BigInt([...text].map((char) => DIGITS.get(char)).join(""));
  let total = 0n;
  let group = 0n;
  let digit: bigint | undefined;
  for (const char of text) {
    const value = DIGITS.get(char);
    const unit = UNITS.get(char);
    const big = GROUPS.get(char);
    if (value !== undefined) digit = BigInt(value);
    else if (unit !== undefined) {
      group += (digit ?? 1n) * unit;
      digit = undefined;
    } else if (big !== undefined) {
      total = (total + group + (digit ?? 0n)) * big;
      group = 0n;
      digit = undefined;
    } else return undefined;
  }
  return total + group + (digit ?? 0n);
}

/** The value of a text that is one Chinese number and nothing else. */
export function chineseNumber(source: string): Rational | undefined {
  const text = source.trim();
  const negative = /^[负負]/.test(text);
  const body = negative ? text.slice(1) : text;
  const value = chineseMagnitude(body);
  return value === undefined || !negative ? value : { n: -value.n, d: value.d };
}

function chineseMagnitude(text: string): Rational | undefined {
  if (text.includes("分之")) {
    const [bottomText = "", topText = "", more] = text.split("分之");
    const top = chineseMagnitude(topText);
    const bottom = bottomText === "百" ? 100n : bottomText === "千" ? 1000n : chineseInteger(bottomText);
    if (more !== undefined || top === undefined || bottom === undefined || bottom === 0n) return undefined;
    return divide(top, rational(bottom));
  }
  if (text === "半" || text === "一半") return divide(ONE, rational(2n));
  if (text.endsWith("半") && text.length > 1) {
    const whole = chineseMagnitude(text.slice(0, -1));
    return whole === undefined ? undefined : add(whole, divide(ONE, rational(2n)));
  }
  const [wholeText = "", fraction, more] = text.split("点");
  const whole = chineseInteger(wholeText);
  if (whole === undefined || more !== undefined) return undefined;
  if (fraction === undefined) return rational(whole);
  let value = ZERO;
  let scale = 1n;
  for (const char of fraction) {
    const digit = DIGITS.get(char);
    if (digit === undefined) return undefined;
    scale *= 10n;
    value = add(value, rational(BigInt(digit), scale));
  }
  return fraction === "" ? undefined : add(rational(whole), value);
}
