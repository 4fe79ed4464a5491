/**
 * Digits with a word that multiplies them: 3万, 1.2亿, 3만 5천, $3 million, 2 лакх. Such a word is part of the number, not a label
 * of it: 3 million is not 3. The text is written out in digits, so that units and signs around it are read as everywhere.
 */
import { chineseNumber } from "./number-words.js";
import { add, multiply, parseDecimal, type Rational, rational, ZERO } from "./rational.js";

const TABLE = `
100 hundred 百 佰 백 hundert cent cientos सौ শত వందల mia
1000 thousand 千 仟 천 tausend mille mil mila тысяч тысяча тысячи हज़ार हजार হাজার వేలు พัน ألف آلاف elfu duizend bin mijl
10000 万 萬 만 หมื่น
100000 lakh lakhs lac लाख লাখ లక్ష లక్షలు แสน laki
1000000 million millions millionen million's millón millones miljoen milioni миллион миллиона миллионов ล้าน مليون milhão milhões juta
10000000 crore crores करोड़ কোটি కోటి కోట్లు
100000000 亿 億 억
1000000000 billion billions milliarde milliarden milliard milliards миллиард миллиарда миллиардов bilioni مليار
1000000000000 trillion trillions 兆 조 billionen
1/10 tenth tenths
1/100 hundredth hundredths
1/1000 thousandth thousandths
1/1000000 millionth millionths
`;

const SCALES = new Map<string, Rational>();
for (const line of TABLE.trim().split("\n")) {
  const [value = "1", ...names] = line.split(" ");
  const [n = "1", d = "1"] = value.split("/");
  for (const name of names) SCALES.set(name.normalize("NFKC"), rational(BigInt(n), BigInt(d)));
}

const NAMES = [...SCALES.keys()].sort((a, b) => b.length - a.length);
/** Between scripts that put spaces a word ends; 万元 goes on. */
const [joined, spaced] = [/^[\u1100-\u11ff\u3000-\u9fff\uac00-\ud7af\u0e00-\u0e7f]/, /\p{L}/u].map(
  (script, i) =>
    NAMES.filter(
      (name) => script.test(name) && (i === 0 || !/^[\u3000-\u9fff\uac00-\ud7af\u0e00-\u0e7f]/.test(name)),
    ),
) as [string[], string[]];
const GROUP = String.raw`(\d[\d,]*(?:\.\d+)?)\s*((?:(?:${joined.join("|")})|[- ]?(?:${spaced.join("|")})(?![\p{L}\p{M}]))(?:\s*(?:${joined.join("|")}))*)`;
const SCALED = new RegExp(`(?<![\\d.,])${GROUP}(?:\\s*${GROUP})*(?:\\s*(\\d+)(?![\\d.,]))?`, "iu");

/** Chinese numerals before what they count: 二十三个. */
const COUNTED =
  /^([-−负負]?[〇零一二两兩三四五六七八九十百千万萬亿億点]+)((?:(?![或和与與跟及至到])\p{Script=Han}){1,4}|\p{Script=Katakana}{1,8})$/u;

/** The text with its numbers written out. */
export function withoutScales(text: string): string {
  const counted = COUNTED.exec(text.trim());
  const value = counted === null ? undefined : chineseNumber(counted[1] ?? "");
  if (value !== undefined && value.d === 1n) return `${value.n}${counted?.[2]}`;
  return text.replace(SCALED, (whole) => {
    let total = ZERO;
    const group = new RegExp(GROUP, "giu");
    let end = 0;
    for (const match of whole.matchAll(group)) {
      let part = parseDecimal((match[1] ?? "0").replaceAll(",", ""));
      for (const name of scalesIn(match[2] ?? "")) part = multiply(part, SCALES.get(name) ?? rational(1n));
      total = add(total, part);
      end = match.index + match[0].length;
    }
    const rest = whole.slice(end).trim();
    if (rest !== "") total = add(total, parseDecimal(rest));
    return total.d === 1n ? `${total.n}` : `${total.n}/${total.d}`;
  });
}

/** 百万 is a hundred times ten thousand. */
function scalesIn(words: string): string[] {
  const found: string[] = [];
  let rest = words.replace(/[-\s]/g, "").toLowerCase();
  while (rest !== "") {
    const name = NAMES.find((one) => rest.startsWith(one));
    if (name === undefined) break;
    found.push(name);
    rest = rest.slice(name.length);
  }
  return found;
}
