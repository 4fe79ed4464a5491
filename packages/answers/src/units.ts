/**
 * Units behind a number. A unit that only one side writes is left out; two units must be the same quantity, and
 * are converted exactly (50 mm is 5 cm). Words that measure nothing ("apples") are labels: two labels must agree.
 */
import type { Rational } from "./rational.js";
import { rational } from "./rational.js";

interface Unit {
  /** What it measures; quantities of different kinds never agree. */
  readonly kind: string;
  /** In units of the kind. */
  readonly scale: Rational;
}

export interface Measured {
  /** The text without its unit. */
  readonly body: string;
  readonly unit?: Unit;
  /** A word that is no known unit, in lower case and singular. */
  readonly label?: string;
}

const TABLE = `
length 1 1 m meter metre
length 1000 1 km kilometer kilometre
length 1 10 dm decimeter decimetre
length 1 100 cm centimeter centimetre
length 1 1000 mm millimeter millimetre
length 1 1000000 um micrometer
length 3048 10000 ft foot feet
length 254 10000 in inch inches
length 9144 10000 yd yard
length 1609344 1000 mi mile
mass 1 1 kg kilogram
mass 1 1000 g gram gm
mass 1 1000000 mg milligram
mass 1000 1 t ton tonne
mass 45359237 100000000 lb lbs pound
mass 45359237 1600000000 oz ounce
time 1 1 s sec second
time 60 1 min minute
time 3600 1 h hr hrs hour
time 86400 1 day
time 604800 1 week wk
time 1 1000 ms millisecond
month 1 1 month
month 12 1 year yr
volume 1 1000 L l liter litre
volume 1 1000000 mL ml milliliter millilitre cc
speed 1609344 3600000 mph
speed 1000 3600 kmph kmh kph
angle 1 1 degree deg degrees
dollar 1 1 dollar usd 美元 ドル 달러 dólar dólare доллар доллара долларов ডলার डॉलर డాలర్లు ดอลลาร์ دولار dola
dollar 1 100 cent
euro 1 1 euro eur 欧元 ユーロ 유로 евро
pound-sterling 1 1 gbp
yuan 1 1 yuan rmb cny 元 人民币
yen 1 1 yen jpy 円
rupee 1 1 rupee rs inr
temperature 1 1 celsius
fahrenheit 1 1 fahrenheit
area 10000 1 hectare ha
area 40468564224 10000000 acre
count 1 1 unit
power 1 1 W watt
energy 1 1 J joule
force 1 1 N newton
pressure 1 1 Pa pascal
voltage 1 1 V volt
`;

const UNITS = new Map<string, Unit>();
for (const line of TABLE.trim().split("\n")) {
  const [kind = "", n = "1", d = "1", ...names] = line.split(" ");
  for (const name of names) UNITS.set(name, { kind, scale: rational(BigInt(n), BigInt(d)) });
}

function unitOf(word: string): Unit | undefined {
  const lower = word.toLowerCase();
  return (
    UNITS.get(word) ??
    UNITS.get(lower) ??
    UNITS.get(lower.replace(/s$/, "")) ??
    UNITS.get(lower.replace(/es$/, ""))
  );
}

function raised(unit: Unit, power: number): Unit {
  if (power === 1 || unit.kind === "count") return unit;
  let scale = unit.scale;
  for (let i = 1; i < power; i++) scale = rational(scale.n * unit.scale.n, scale.d * unit.scale.d);
  // A litre is a cubic decimetre.
  const kind = unit.kind === "length" ? (power === 2 ? "area" : "volume") : `${unit.kind}^${power}`;
  return { kind, scale };
}

/** `cm^2`, `square feet`, `cubic meters`, `m/s`, `miles per hour`. */
function parseUnit(text: string): Unit | undefined {
  const cleaned = text.replace(/\.$/, "").replace(/\s+/g, " ").trim();
  const slash = cleaned.split(/\s*\/\s*|\s+per\s+/);
  if (slash.length === 2) {
    const [top, bottom] = slash.map((part) => parseUnit(part ?? ""));
    if (top === undefined || bottom === undefined) return undefined;
    const scale = rational(top.scale.n * bottom.scale.d, top.scale.d * bottom.scale.n);
    const kind = top.kind === "length" && bottom.kind === "time" ? "speed" : `${top.kind}/${bottom.kind}`;
    return { kind, scale };
  }
  const worded = /^(square|sq\.?|cubic|cu\.?)\s*(\S+)$/i.exec(cleaned);
  if (worded !== null) {
    const unit = unitOf(worded[2] ?? "");
    if (worded[2]?.startsWith("unit") === true) return { kind: "count", scale: rational(1n) };
    return unit === undefined ? undefined : raised(unit, /^c/i.test(worded[1] ?? "") ? 3 : 2);
  }
  const powered = /^([a-zA-Z]+)\s*\^?\s*\{?([23])\}?$/.exec(cleaned);
  if (powered !== null) {
    const unit = unitOf(powered[1] ?? "");
    return unit === undefined ? undefined : raised(unit, Number(powered[2]));
  }
  return unitOf(cleaned);
}

const singular = (word: string): string => word.toLowerCase().replace(/(?:(?<=[sxz]|ch|sh)es|(?<!s)s)$/, "");

/** Behind which a unit may stand: a digit, a closing bracket, pi, a letter of a formula only when spaced or in \text. */
const CURRENCY: readonly (readonly [RegExp, string])[] = [
  [/^(-?)\s*(?:\\\$|\$|US\$)\s*/, "dollar"],
  [/^(-?)\s*€\s*/, "euro"],
  [/^(-?)\s*£\s*/, "gbp"],
  [/^(-?)\s*(?:¥|￥)\s*/, "yuan"],
  [/^(-?)\s*₹\s*/, "rupee"],
];

/** A unit stands within so much of the end. */
const TAIL = 120;

const TEMPERATURE =
  /^(.*\d)\s*(?:\^\s*\{?\s*\\circ\s*\}?|°|\\degree)\s*(?:\\(?:text|mathrm)\s*\{)?\s*([CF])\s*\}?$/s;
const IN_TEXT =
  /^(.*[\d)}\]!a-zA-Z%])\s*(?:\\[,;: ~]|~)*\s*\\(?:text|mathrm|mbox|textrm|operatorname|rm|textbf)\s*\{([^{}]*)\}\s*(\^\s*\{?\s*[23]\s*\}?)?\s*\.?$/s;
const PLAIN =
  /^(.*?[\d)}\]])(\s*)((?:[\p{L}\p{M}°][\p{L}\p{M}.°]*(?:\s*\/\s*|\s+|(?=\^)|$))+(?:\^\s*\{?[23]\}?|[²³])?)$/su;

/** `letters`: single letters of plain text are units, too (5 m); otherwise they are variables (3s^2). */
export function splitUnit(source: string, letters = false): Measured {
  const text = source.trim().replace(/^([^€£¥￥₹$]*\d)\s*(\\\$|[€£¥￥₹$])$/, "$2$1");
  for (const [pattern, name] of CURRENCY) {
    const match = pattern.exec(text);
    if (match === null || match[0].length === text.length) continue;
    const { body } = splitTail(`${match[1] ?? ""}${text.slice(match[0].length)}`, letters);
    return { body, unit: unitOf(name) as Unit };
  }
  return splitTail(text, letters);
}

function splitTail(text: string, letters: boolean): Measured {
  const cut = Math.max(0, text.length - TAIL);
  const [head, tail] = [text.slice(0, cut), text.slice(cut)];
  const temperature = TEMPERATURE.exec(tail);
  if (temperature !== null) {
    return {
      body: `${head}${temperature[1]}`,
      unit: unitOf(temperature[2] === "C" ? "celsius" : "fahrenheit") as Unit,
    };
  }
  const inText = IN_TEXT.exec(tail);
  if (inText !== null) {
    const measured = measure(`${head}${inText[1]}`, `${inText[2] ?? ""}${inText[3] ?? ""}`);
    if (measured !== undefined) return measured;
  }
  const plain = PLAIN.exec(tail);
  if (plain !== null) {
    const words = plain[3] ?? "";
    // Letters that touch the number are a unit only by name: 5cm, not 5xy.
    const single = /^[a-zA-Z](?![a-zA-Z])/.test(words);
    const apart = letters && (plain[2] !== "" || words.length === 1);
    const known = (apart || !single) && parseUnit(words.replace("²", "^2").replace("³", "^3")) !== undefined;
    // Of a script that is no part of formulas; one without spaces counts without any: 72个, 18টি.
    const foreign = /(?![\p{Script=Latin}\p{Script=Greek}])\p{L}/u.test(words);
    const prose = plain[2] !== "" && /[a-zA-Z]{3}/.test(words);
    if (known || foreign || prose) {
      const measured = measure(`${head}${plain[1]}`, words);
      if (measured !== undefined) return measured;
    }
  }
  return { body: text };
}

/** Words that take an amount back, or choose between two, are no label of it. */
const DOUBTS =
  /^(?:or|but|not|maybe|perhaps|possibly|probably|either|otherwise|unless|guess|think|wrong|incorrect|plus|minus|times|divided|oder|nicht|kein|keine|ou|pas|sio|hapana|или|не|нет|неверно|नहीं|या|নয়|না|বা|కాదు|లేదా|ليس|ليست|لا|أو|değil|không|bukan|tidak)$/iu;
const JOINED_DOUBTS =
  /[不没沒非错錯对對吗嗎或是的了和]|아니|아닙|또는|거나|ไม่|หรือ|(?![つこ])\p{Script=Hiragana}/u;

function measure(body: string, words: string): Measured | undefined {
  const unitText = words.replace("²", "^2").replace("³", "^3").replace(/[()]/g, "").trim();
  if (unitText === "" || /^(?:and|or|if|mod|is|are|when|for|percent|pct|percentage)\b/i.test(unitText))
    return undefined;
  if (/\d/.test(unitText.replace(/\^?\s*\{?[23]\}?$/, ""))) return undefined;
  const unit = parseUnit(unitText);
  if (unit !== undefined) return unit.kind === "count" ? { body } : { body, unit };
  const labelWords = unitText.split(/\s+/);
  if (labelWords.some((word) => DOUBTS.test(word)) || JOINED_DOUBTS.test(unitText)) return undefined;
  if (labelWords.length > 6) return undefined;
  return { body, label: singular((labelWords.at(-1) ?? "").replace(/[.,]+$/, "")) };
}
