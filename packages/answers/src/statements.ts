/**
 * What of an announced statement is the answer. "72, which is the total", "72 because 6 * 12 = 72", "72 (six dozen)", "B; the
 * others are false": a value, then words that explain it. Only what explains is left off; two candidates, a condition, a doubt stay
 * in the answer, where they are no value, and what is taken back in the next breath is no answer at all.
 */
import { type Opener, offersAnother, takesBack } from "./doubts.js";
import { chineseNumber, englishNumber } from "./number-words.js";
import { choiceOf, truthOf, undress } from "./text-answers.js";

export interface Statement {
  readonly answer: string;
  /** With what explains it: words may mean it all. */
  readonly whole: string;
}

/**
 * `\$` inside is a dollar. A dollar before a digit opens an amount: it closes nothing, and none behind a space closes it ("$2 a day, so $10"); one
 * behind a digit and before a space ends an amount ("200$ a month"); and what ends in an operator is no formula ("$15+$5=$20").
 */
const INLINE = String.raw`\$(?<!\d\$(?=\s))(?!\$|\.?\d[^$\n]*\s\$|[^$\n]*[=+*/-]\s*\$)((?:\\\$|[^$\n]){1,4000})(?<!\\)\$(?!\d)`;
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
    if (offersAnother(formulas, tail, "begins") || takesBack(formulas, rest)) return undefined;
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
  if (offersAnother(answer, tail, opener))
    return takesBack(whole, rest) ? undefined : { answer: whole, whole };
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
  "as(?<!well as)(?! (?:well|is|are|does|do)\\b), so(?<!or so), where, meaning, making, giving, given, considering, thus, therefore, hence, namely, that is, i\\.e\\., rather than, instead of, as opposed to, according to, based on, due to, by(?= \\p{L}), soit, donc, da, was, das ist, es decir, que, то есть, что, jadi, لأن, أي",
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

/** A value with an explanation behind it is no longer than this. */
const MAX_VALUE = 300;

/** The answer, what explains it with the word that opens it, and whether that could be a second answer instead. */
function cutExplanation(whole: string): { answer: string; tail: string; opener: Opener } {
  const clause = ANY_TAIL.exec(whole)?.index ?? 0;
  let at = clause > 0 ? clause : whole.length;
  let opener: Opener = "explains";
  for (const tail of whole.matchAll(VALUE_TAIL)) {
    if (tail.index >= at || tail.index > MAX_VALUE) break;
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
