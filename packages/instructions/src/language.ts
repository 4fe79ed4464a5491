/**
 * Which language a text is in, as langdetect tells it: Cybozu's language-detection (Nakatani Shuyo, 2010), which IFEval's
 * evaluator asks. The text's n-grams are drawn at random, each draw is a step of naive Bayes over 55 languages, until one
 * has nearly all the probability; several such trials are averaged. langdetect draws anew each time that it is asked; here
 * the draws begin the same for every text, so that a verdict is a function of the response.
 *
 * One thing is not as there: a text without Hangul is not Korean. langdetect takes one Chinese sentence in twenty for it.
 *
 * What is in capitals beyond the first letter is left out, as there: a text all in capitals shows little.
 * ../languages/SOURCE.md says where the tables come from. They load when a language is first asked for.
 */
import { readFileSync } from "node:fs";
import { z } from "zod";

const MAX_CHARACTERS = 10_000;
/** langdetect makes seven: with more the chance of the draws tells less, and theirs is met more often. */
const TRIALS = 35;
const MAX_STEPS = 1_000;
const CONVERGED = 0.99999;
const SMOOTHING = 0.5;
const SMOOTHING_WIDTH = 0.05;
const SMOOTHING_UNIT = 10_000;

const hangul = /\p{Script=Hangul}/u;

interface Tables {
  readonly languages: readonly string[];
  /** N-gram to its share of each language's n-grams of that length: [language's index, share, ...]. */
  readonly shares: ReadonlyMap<string, readonly number[]>;
  /** Kanji that occur alike in the same languages stand for each other. */
  readonly kanji: ReadonlyMap<string, string>;
}

const profile = z.object({
  name: z.string(),
  n_words: z.tuple([z.number(), z.number(), z.number()]),
  freq: z.record(z.string(), z.number()),
});

let tables: Tables | undefined;

/** The ISO 639-1 code of a text's language; undefined where nothing in it tells (digits, punctuation). */
export function detectLanguage(text: string): string | undefined {
  tables ??= loadTables();
  const grams = nGrams(withoutStrayLatin(shortened(text)), tables);
  if (grams.length === 0) return undefined;
  const { languages } = tables;
  const possible = languages.map((language) => (language !== "ko" || hangul.test(text) ? 1 : 0));
  const total = new Float64Array(languages.length);
  const draw = drawer();
  for (let trial = 0; trial < TRIALS; trial++) {
    const odds = runTrial(grams, possible, draw);
    for (let i = 0; i < total.length; i++) total[i]! += odds[i]!;
  }
  const language = languages[total.indexOf(Math.max(...total))]!;
  return codeOf(language);
}

/** The codes that it may answer. */
export function languageCodes(): readonly string[] {
  tables ??= loadTables();
  return [...new Set(tables.languages.map(codeOf))].sort();
}

const codeOf = (language: string): string => (language.startsWith("zh-") ? "zh" : language);

function runTrial(
  grams: readonly (readonly number[])[],
  possible: readonly number[],
  draw: () => number,
): Float64Array {
  const languages = possible.length;
  const odds = Float64Array.from(possible);
  const gaussian = Math.sqrt(-2 * Math.log(1 - draw())) * Math.cos(2 * Math.PI * draw());
  const weight = (SMOOTHING + gaussian * SMOOTHING_WIDTH) / SMOOTHING_UNIT;
  for (let step = 0; ; step++) {
    const shares = grams[Math.floor(draw() * grams.length)]!;
    let at = 0;
    for (let i = 0; i < languages; i++) {
      const share = shares[at] === i ? shares[at + 1]! : 0;
      if (shares[at] === i) at += 2;
      odds[i]! *= weight + share;
    }
    if (step % 5 !== 0) continue;
    const sum = odds.reduce((a, b) => a + b, 0);
    for (let i = 0; i < languages; i++) odds[i]! /= sum;
    if (step >= MAX_STEPS || Math.max(...odds) > CONVERGED) return odds;
  }
}

/** Numbers in [0, 1), the same ones each time: Weyl's sequence through a mixer of bits (Steele and Vigna's splitmix32). */
function drawer(): () => number {
  let state = 0;
  return () => {
    state = (state + 0x9e3779b9) | 0;
    let bits = state ^ (state >>> 16);
    bits = Math.imul(bits, 0x21f0aaad);
    bits ^= bits >>> 15;
    bits = Math.imul(bits, 0x735a2d97);
    bits ^= bits >>> 15;
    return (bits >>> 0) / 2 ** 32;
  };
}

const url = /https?:\/\/[-_.?&~;+=/#0-9A-Za-z]{1,2076}/g;
const mail = /[-_.0-9A-Za-z]{1,64}@[-_0-9A-Za-z]{1,255}[-_.0-9A-Za-z]{1,255}/g;
/** Vietnamese letters whose tone is a character of its own. */
const apart = /[AEIOUYaeiouyÂÊÔâêôĂăƠơƯư][\u0300\u0301\u0303\u0309\u0323]/g;

/** Its first characters, without addresses; one space where there are many. */
function shortened(text: string): string[] {
  const characters = [
    ...text
      .slice(0, 10 * MAX_CHARACTERS) // So much of it could be addresses.
      .replace(url, " ")
      .replace(mail, " ")
      .replace(apart, (pair) => pair.normalize("NFC")),
  ];
  return characters
    .slice(0, MAX_CHARACTERS)
    .filter((character, i) => character !== " " || characters[i - 1] !== " ");
}

/** Without Latin letters, where they are few among others. */
function withoutStrayLatin(characters: readonly string[]): readonly string[] {
  const isLatin = (character: string): boolean => character >= "A" && character <= "z";
  const latin = characters.filter(isLatin).length;
  const others = characters.filter((character) => character.codePointAt(0)! >= 0x300).length;
  return latin * 2 < others ? characters.filter((character) => !isLatin(character)) : characters;
}

const upper = /^\p{Uppercase}$/u;

/** The known ones of one to three characters within words; a space stands for a word's begin or end. */
function nGrams(characters: readonly string[], { shares, kanji }: Tables): (readonly number[])[] {
  const found: (readonly number[])[] = [];
  let word: string[] = [" "];
  let inCapitals = false;
  for (const raw of characters) {
    const character = normalized(raw, kanji);
    const last = word.at(-1)!;
    if (last === " ") {
      word = [" "];
      inCapitals = false;
    } else if (word.length === 3) word.shift();
    if (last !== " " || character !== " ") word.push(character);
    if (upper.test(character)) inCapitals ||= upper.test(last);
    else inCapitals = false;
    if (inCapitals) continue;
    for (let size = 1; size <= word.length; size++) {
      const known = shares.get(word.slice(-size).join(""));
      if (known !== undefined) found.push(known);
    }
  }
  return found;
}

/** Letters that say the same about a language become one, what is no letter a space. */
function normalized(character: string, kanji: ReadonlyMap<string, string>): string {
  const code = character.codePointAt(0)!;
  const within = (first: number, last: number): boolean => code >= first && code <= last;
  if (code < 0x80) return /[A-Za-z]/.test(character) ? character : " ";
  if (/[\u00a0«°»]/.test(character) || within(0x2000, 0x206f)) return " ";
  if (character === "ș") return "ş";
  if (character === "ț") return "ţ";
  if (code === 0x6cc) return "\u064a"; // Farsi yeh: Arabic yeh.
  if (within(0x1ea0, 0x1eff)) return "ể"; // Vietnamese.
  if (within(0x3040, 0x309f)) return "あ";
  if (within(0x30a0, 0x30ff)) return "ア";
  if (within(0x3100, 0x312f) || within(0x31a0, 0x31bf)) return "ㄅ";
  if (within(0x4e00, 0x9fff)) return kanji.get(character) ?? character;
  return within(0xac00, 0xd7af) ? "가" : character;
}

function loadTables(): Tables {
  const lines = (name: string): string[] =>
    readFileSync(new URL(`../languages/${name}`, import.meta.url), "utf8")
      .trim()
      .split("\n");
  const profiles = lines("profiles.jsonl").map((line) => profile.parse(JSON.parse(line)));
  const shares = new Map<string, number[]>();
  for (const [index, { freq, n_words }] of profiles.entries()) {
    for (const [gram, count] of Object.entries(freq)) {
      const known = shares.get(gram) ?? [];
      known.push(index, count / n_words[gram.length - 1]!);
      shares.set(gram, known);
    }
  }
  shares.delete(" ");
  const alike = lines("kanji.txt").map((line) => [...line]);
  return {
    languages: profiles.map(({ name }) => name),
    shares,
    kanji: new Map(alike.flatMap((group) => group.map((character) => [character, group[0]!] as const))),
  };
}
