/**
 * What of an announced statement is the answer. "72, which is the total", "72 because 6 * 12 = 72", "72 (six dozen)", "B; the
 * others are false": a value, then words that explain it. Only what explains is left off; two candidates, a condition, a doubt stay
 * in the answer, where they are no value, and what is taken back in the next breath is no answer at all.
 */
import { exactly } from "./exact-value.js";
import { chineseNumber, englishNumber } from "./number-words.js";
import { tryParse } from "./parse.js";
import { newBudget, newPoint } from "./points.js";
import { equal, parseDecimal } from "./rational.js";
import { choiceOf, truthOf, undress } from "./text-answers.js";
import { toAscii } from "./tokens.js";

export interface Statement {
  readonly answer: string;
  /** With what explains it: words may mean it all. */
  readonly whole: string;
}

/** `\$` inside is a dollar; a dollar before a digit opens an amount and closes nothing. */
const INLINE = String.raw`\$(?!\$)((?:\\\$|[^$\n]){1,4000})(?<!\\)\$(?!\d)`;
export const FORMULA = String.raw`\$\$([^$]{1,4000})\$\$|${INLINE}|\\\[([\s\S]{1,4000}?)\\\]|\\\(([^\n]{1,1000}?)\\\)`;
export const JOINT = String.raw`(?:,|,?\s*(?:and|or)|、|和|或)`;

const FIRST_FORMULA = new RegExp(`^(?:${FORMULA})(?:\\s*%)?`);
const NEXT_FORMULA = new RegExp(String.raw`^\s*${JOINT}\s*\$(?:\\\$|[^$\n])+\$`);

/** Where a sentence ends: not behind "i.e." nor within 3.5, but in "72.Then". */
const SENTENCE_END =
  /(?<!\b(?:i\.e|e\.g|vs|approx|St|Dr|Mr|Mrs|Ms|Mt|No))[.](?=\s|$|\*)|(?<=\d)\.(?=\p{Lu}\p{Ll})|[!?](?=\s|$|\*)|[。！？।۔؟]/u;

/** Reads the statement that `source` begins with; undefined: nothing is stated, it is asked, or it is taken back. */
export function readStatement(source: string): Statement | undefined {
  const text = source.slice(0, 4_000).replace(/^[\s*_:：]+/, "");
  const formulas = leadingFormulas(text);
  if (formulas !== undefined) {
    const [tail, rest] = cutSentence(text.slice(formulas.length));
    if (doubts(formulas, tail, "begins") || takesBack(formulas, rest)) return undefined;
    const answer = NEXT_FORMULA.test(text.slice(FIRST_FORMULA.exec(text)?.[0].length ?? 0))
      ? formulas.replace(/(?<!\\)\$/g, " ")
      : formulas;
    return { answer, whole: answer };
  }
  const led = text.replace(LEADS, "");
  const [sentence, rest, asked] = cutSentence(
    led !== text && isValue(led.split("\n", 1)[0] ?? "") ? led : text,
  );
  const whole = plain(sentence);
  if (whole === "" || asked) return undefined;
  const { answer, tail, opener } = cutExplanation(whole);
  if (doubts(answer, tail, opener)) return takesBack(whole, rest) ? undefined : { answer: whole, whole };
  return takesBack(answer, rest) ? undefined : { answer, whole };
}

/** Words between the verb and a value that add nothing to it; none of them doubts it. */
const LEADS =
  /^(?:(?:simply|therefore|thus|hence|then|exactly|precisely|indeed|clearly|definitely|certainly|obviously|just|for sure|of course|equal to|as follows|the (?:number|value|letter)|number|letter|donc|alors|bien|exactement|also|somit|daher|genau|por lo tanto|entonces|exactamente|dunque|quindi|именно)(?![\p{L}])[\s,:：*]*)+/iu;

/** A formula and those that a comma, "and" or "or" joins to it. */
function leadingFormulas(text: string): string | undefined {
  let end = FIRST_FORMULA.exec(text)?.[0].length;
  if (end === undefined) return undefined;
  for (let count = 0; count < 20; count++) {
    const next = NEXT_FORMULA.exec(text.slice(end))?.[0];
    if (next === undefined) break;
    end += next.length;
  }
  return text.slice(0, end);
}

/** The first sentence of the first line, what comes after it, and whether it asks. */
function cutSentence(text: string): readonly [sentence: string, rest: string, asked: boolean] {
  const line = text.split("\n", 1)[0] ?? "";
  const end = SENTENCE_END.exec(line);
  if (end === null) return [line, text.slice(line.length), false];
  return [line.slice(0, end.index), text.slice(end.index + 1), /[?？؟]/.test(end[0])];
}

/** Without Markdown, and without the verb that languages put last. */
const plain = (sentence: string): string =>
  sentence
    .replace(/\*\*|__|^\*|\*$/g, "")
    .replace(/^(?:de|von|da)\s+(?=[-\d$€£])/, "")
    .replace(/^(?:dola|shilingi|usd|rs\.?)\s+(?=\d)/i, "")
    .replace(
      /\s*(?:です|でした|である|になります|となります|だ|입니다|이다|이에요|예요|है|हैं|అవుతుంది)\s*$/u,
      "",
    )
    .trim()
    .replace(/^(?:「(.*)」|『(.*)』|'([^']*)'|‘([^‘’]*)’)$/u, "$1$2$3$4");

// Explanations ---------------------------------------------------------------------------------------------------------------

/** Clauses that may follow any answer. */
const CLAUSES = alternatives(
  "because, since, which, weil, denn, parce que, car, puisque, ce qui, porque, ya que, puesto que, lo cual, потому что, так как, поскольку, perché, omdat, kwa sababu, ambayo, क्योंकि, কারণ, ఎందుకంటే",
);
/** Clauses that may follow a value; words beside words may be the answer itself. */
const VALUE_CLAUSES = alternatives(
  "as(?<!well as)(?! (?:well|is|are|does|do)\\b), so(?<!or so), where, meaning, making, giving, given, considering, thus, therefore, hence, namely, that is, i\\.e\\., rather than, instead of, as opposed to, according to, based on, due to, by (?=\\p{L}), soit, donc, da, was, das ist, es decir, que, то есть, что, jadi, لأن, أي",
);
/** Behind a comma: a clause with its own subject, or what the value is. */
const APPOSITIONS = alternatives(
  "not, the, this, that, these, it, we, he, she, they, there, you, I, a, an, our, his, her, its, their, for, from, in, after, obtained, found, calculated, computed, and (?:this|that|it|so|we|the|therefore|here)",
);
const JOINED_CLAUSES =
  "因为|因為|由于|由於|所以|因此|即|也就是|这|這|其中|共|なぜなら|つまり|すなわち|왜냐하면|즉|เพราะ|ซึ่ง";

function alternatives(words: string): string {
  return words
    .split(", ")
    .sort((a, b) => b.length - a.length)
    .join("|");
}

const border = "(?![\\p{L}\\p{M}])";
const ANY_TAIL = new RegExp(`[,;，]?\\s+(?:${CLAUSES})${border}|[,，、;；]?\\s*(?:${JOINED_CLAUSES})`, "iu");
const VALUE_TAIL = new RegExp(
  `(?<clause>[,;，]?\\s+(?:${VALUE_CLAUSES}))${border}|(?<apposition>[,，]\\s+(?:${APPOSITIONS}))${border}|(?<mark>\\s*[;；]|\\s+[—–-]+\\s+(?=\\p{L})|\\s*—\\s*(?=\\p{L})|\\s*[(（])`,
  "giu",
);

/** Numbers behind these are the explanation's; behind the others the first may be a second answer. */
const EXPLAINS =
  /^[,;，]?\s+(?:as|given|considering|rather than|instead of|as opposed to|according to|based on|due to|by|not)$/i;

type Opener = "explains" | "begins";

/** The answer, what explains it with the word that opens it, and whether that could be a second answer instead. */
function cutExplanation(whole: string): { answer: string; tail: string; opener: Opener } {
  const clause = ANY_TAIL.exec(whole)?.index ?? 0;
  let at = clause > 0 ? clause : whole.length;
  let opener: Opener = "explains";
  for (const tail of whole.matchAll(VALUE_TAIL)) {
    if (tail.index >= at) break;
    const head = whole.slice(0, tail.index).trim();
    if (head === "" || !isValue(head)) continue;
    if (/[(（]$/.test(tail[0]) && !isRemark(head, whole.slice(tail.index + tail[0].length))) continue;
    at = tail.index;
    opener = EXPLAINS.test(tail[0]) ? "explains" : "begins";
    break;
  }
  return { answer: whole.slice(0, at).trim(), tail: whole.slice(at), opener };
}

/** A bracket behind a letter, or one with words in it: 3 (x+1) is a product. */
function isRemark(head: string, inside: string): boolean {
  if (choiceOf(head) !== undefined) return true;
  const words = inside.replace(/\\[a-z]+|\b(?:sin|cos|tan|log|ln|sqrt|pi|mod|exp)\b/gi, " ");
  return /^\s*[=≈]|\p{L}{2,}|^[\p{Nd}.,]+$/u.test(words.split(/[)）]/, 1)[0] ?? "");
}

/** A number, amount or formula, alone or with what it counts; a choice; a truth value. */
export function isValue(text: string): boolean {
  const bare = undress(text);
  return (
    /^(?:[a-zA-Z]\s*=\s*)?[-+−±(]?\s*(?:\\\$|US\$|[$€£¥￥₹])?\s*(?:[-−]?\.?\p{Nd}|[√π∞]|\\[a-zA-Z])/u.test(
      bare,
    ) ||
    choiceOf(bare) !== undefined ||
    truthOf(bare) !== undefined ||
    englishNumber(bare) !== undefined ||
    chineseNumber(bare) !== undefined
  );
}

// Doubts -----------------------------------------------------------------------------------------------------------------------

interface Candidate {
  readonly text: string;
  readonly at: number;
}

const NUMBER = /\d+(?:[,\u202f ]\d{3})*(?:\.\d+)?/g;
/** An article is no choice: "A train" begins with a capital too. */
const LETTER = /(?<![\p{L}\p{N}'’])(?:A(?!\s+\p{Ll})|[B-HJ])(?![\p{L}\p{N}'’])/gu;

/** What in a text could be an answer of the kind that `answer` is. */
function candidates(text: string, kind: "letter" | "number"): Candidate[] {
  const pattern = kind === "letter" ? LETTER : NUMBER;
  return [...text.matchAll(pattern)].map((match) => ({
    text: match[0].replace(/[,\s]/g, ""),
    at: match.index,
  }));
}

/** Those that are not what `answer` says already, 0.5 behind 1/2. */
function others(answer: string, text: string): Candidate[] {
  const letter = choiceOf(answer);
  if (letter !== undefined) return candidates(text, "letter").filter((one) => one.text !== letter);
  const own = new Set(candidates(toAscii(answer), "number").map((one) => one.text));
  const node = tryParse(undress(answer));
  const value = node === undefined ? "none" : exactly(node, newPoint(1n, "integers"), newBudget());
  return candidates(text, "number").filter(
    (one) => !own.has(one.text) && !(typeof value === "object" && equal(value, parseDecimal(one.text))),
  );
}

const OR =
  "or|nor|maybe|perhaps|possibly|alternatively|otherwise|either|(?:could|might|may|can)(?: also)? be|actually|wait|sorry|correction|if not|oder|vielleicht|ou|peut-être|tal vez|quizás|или|может быть|أو|বা|या|లేదా|hoặc|atau|veya|lub|nebo";
/** Directly before a candidate: it is the other half of a choice. */
const OFFERED = new RegExp(
  `(?:(?<![\\p{L}\\p{M}])(?:${OR})(?![\\p{L}\\p{M}])|或者?|可能|还是|または|あるいは|もしくは|또는|หรือ)[^.;。；\\p{Nd}]{0,14}$`,
  "iu",
);
const EQUATED =
  /(?:\b(?:it|that|this|which|answer|other|second|alternative)(?:['’]s|\s+(?:is|was|should be|would be|becomes))|\b(?:same as|equal to|equals))\s*[*"“($]*$/i;
/** Behind a candidate that stands for itself: the end, a mark, a condition. */
const ALONE =
  /^[*"”$]*\s*(?:$|[).,;:!?）。，；！]|(?:if|when|with|without|unless|depending|for|or|and|as)\b)/i;

/** "B or A could be right" behind A. */
const OFFERED_FIRST = /^\W{0,3}(?:or|oder|ou|или|或)\s+\W*[\p{N}A-J]/iu;
/** Nothing but marks and the opening word stands before a candidate. */
const BEGINS =
  /^[\s,;(=≈:*"“$—–/|&-]*(?:but|and|also|so|thus|therefore|hence|namely|that is|i\.e\.|meaning|making|giving)?[\s,;(=≈:*"“$]*$/i;

/** The explanation holds another candidate as a second answer. */
function doubts(answer: string, tail: string, opener: Opener): boolean {
  if (tail === "") return false;
  const text = toAscii(tail);
  const found = others(answer, text);
  return found.some(({ text: candidate, at }, i) => {
    const before = text.slice(Math.max(0, at - 60), at);
    const after = text.slice(at + candidate.length);
    const previous = found[i - 1];
    // "B because A or C are too slow" chooses between others.
    const isPair =
      previous !== undefined &&
      /^\W*(?:or|and|nor)?\W*$/i.test(text.slice(previous.at + previous.text.length, at));
    if (OFFERED.test(before) && !isPair) return true;
    if (OFFERED_FIRST.test(after) && others(answer, after.slice(0, 12)).length === 0) return true;
    if (!ALONE.test(after)) return false;
    return EQUATED.test(before) || (opener === "begins" && BEGINS.test(text.slice(0, at)));
  });
}

const RETRACTION =
  /^[\s\W]*(?:no\s*[,.!—–-]|no wait|wait\b|hmm+\b|actually\b|or\b|alternatively\b|sorry\b|correction\b|scratch that|oops\b|maybe\b|perhaps\b|possibly\b|(?:it|this|that|the answer)\s+(?:could|might|may)\b|或|不对|不對|等等|还是|いや|また?は|아니|또는|oder\b|nein\b|ou\b|non\s*[,.!]|или|нет\s*[,.!])/iu;
/** A candidate that ends what is said, alone or with what it counts. */
const LAST = /^[*"”$]*(?:\s*\p{L}+){0,2}\s*(?:$|[,.!?;:)])/u;

/** A later sentence names another candidate instead, or is one. */
function takesBack(answer: string, rest: string): boolean {
  const numbered = /(?<=\n)[\s#*]*\d{1,3}[.):](?=\s+\S)/g;
  const sentences = rest
    .slice(0, 2_000)
    .replace(numbered, "")
    .split(/[.!?](?=\s|$)|[。！？।۔]|\n/u);
  return sentences.some((sentence) => {
    const text = toAscii(sentence);
    const found = others(answer, text);
    const [first] = found;
    if (first === undefined) return false;
    if (text.replace(/[^\p{L}\p{N}.]/gu, "").replace(/^\.+|\.+$/g, "") === first.text) return true;
    return RETRACTION.test(text) && found.some((one) => LAST.test(text.slice(one.at + one.text.length)));
  });
}
