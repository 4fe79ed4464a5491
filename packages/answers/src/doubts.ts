/**
 * Whether what stands behind an answer offers another: in the place of its explanation, as an alternative, or in a later sentence
 * that takes it back. Numbers and letters that only explain are told apart by what stands right before and right behind them.
 */
import { exactly } from "./exact-value.js";
import { OverBudget } from "./limits.js";
import { tryParse } from "./parse.js";
import { newBudget, newPoint } from "./points.js";
import { divide, equal, negate, parseDecimal, type Rational } from "./rational.js";
import { choiceOf, undress } from "./text-answers.js";
import { toAscii } from "./tokens.js";

/** "explains": numbers of the tail are the explanation's; "begins": the first may be a second answer. */
export type Opener = "explains" | "begins";

interface Candidate {
  readonly text: string;
  readonly at: number;
}

const NUMBER = /(?:(?<![\p{L}\p{N})\]}] ?)-)?\$?\d+(?:[,\u202f ]\d{3}(?!\d))*(?:\.\d+)?(?:\s?\/\s?\d+)?/gu;
/** An article is no choice: "A train" begins with a capital too. */
const LETTER = /(?<![\p{Script=Latin}\p{N}'’])(?:A(?!\s+\p{Ll})|[B-HJ])(?![\p{Script=Latin}\p{N}'’])/gu;

const candidates = (text: string, pattern: RegExp): Candidate[] =>
  [...text.matchAll(pattern)].map((match) => ({ text: match[0], at: match.index }));

const bare = (number: string): string => number.replace(/[$,\s]/g, "");

function valueIn(number: string): Rational | undefined {
  const [top = "", bottom] = bare(number).split("/");
  const value = parseDecimal(top.replace("-", ""));
  const signed = top.startsWith("-") ? negate(value) : value;
  if (bottom === undefined) return signed;
  const divisor = parseDecimal(bottom);
  return divisor.n === 0n ? undefined : divide(signed, divisor);
}

/** What competes with an answer: finds in a text the candidates of its kind that it does not say already, as 0.5 is behind 1/2. */
interface Rivals {
  readonly in: (text: string) => readonly Candidate[];
  /** What follows a candidate, without the words that the answer counts in: 73 apples behind 72 apples. */
  readonly behind: (text: string) => string;
}

function rivalsOf(answer: string): Rivals {
  const letter = choiceOf(answer);
  if (letter !== undefined)
    return {
      in: (text) => candidates(text, LETTER).filter((one) => one.text !== letter),
      behind: (text) => text,
    };
  const own = new Set(candidates(toAscii(answer), NUMBER).map((one) => bare(one.text)));
  const value = exactValue(answer);
  const label = /[\d)}] ?([\p{L}\p{M}][\p{L}\p{M} ]*)$/u.exec(answer.slice(-60))?.[1]?.toLowerCase();
  return {
    // Words and truth values compete with no number.
    in: (text) =>
      own.size === 0 && value === undefined
        ? []
        : candidates(text, NUMBER).filter((one) => {
            const other = valueIn(one.text);
            const isSame = value !== undefined && other !== undefined && equal(value, other);
            return !own.has(bare(one.text)) && !isSame;
          }),
    behind: (text) => {
      const rest = text.trimStart();
      return label !== undefined && rest.toLowerCase().startsWith(label) ? rest.slice(label.length) : text;
    },
  };
}

function exactValue(answer: string): Rational | undefined {
  const node = tryParse(undress(answer));
  if (node === undefined) return undefined;
  try {
    const value = exactly(node, newPoint(1n, "integers"), newBudget());
    return typeof value === "object" ? value : undefined;
  } catch (error) {
    if (error instanceof OverBudget) return undefined;
    throw error;
  }
}

const OR =
  "or|maybe|perhaps|possibly|alternatively|otherwise|either|(?:could|might|may|can)(?: also)? be|actually|wait|sorry|correction|if not|oder|vielleicht|ou|peut-être|tal vez|quizás|или|может быть|أو|বা|या|లేదా|hoặc|atau|veya|lub|nebo";
/** Directly before a candidate: it is the other half of a choice. */
const OFFERED = new RegExp(
  `(?:(?<![\\p{L}\\p{M}])(?:${OR})(?![\\p{L}\\p{M}])|或者?|可能|还是|または|あるいは|もしくは|또는|หรือ)[^.;。；\\p{Nd}]{0,14}$`,
  "iu",
);
const PAIR = /^\W*(?:or|and|nor)?\W*$/i;
/** "B or A could be right" behind A; "73 is also possible". */
const OFFERED_FIRST = /^\W{0,3}(?:or|oder|ou|или|或)\s+\W*[\p{N}A-J]/iu;
const ALSO =
  /^[\s*)"”$%]*(?:too\b(?!\s+\p{L})|also\b|as well\b|(?:is|are|would be|works?|fits?|being)\s+(?:also|too(?!\s+\p{L})|as well|another|an?\s+(?:alternative|option|possibility|candidate)|possible|right|correct|acceptable|valid)\b)/iu;
const EQUATED =
  /(?:\b(?:it|that|this|which|other|second|alternative|possibility|option)(?:['’]s|\s+(?:is|was|being|should be|would be|becomes))|\b(?:same as|equal to|equals|i mean|rather))\s*[*"“($]*(?:[a-z]\s*=\s*)?$/i;
/** Behind a candidate that stands for itself: the end, a mark, a condition, a reason. */
const ALONE =
  /^[*"”$%]*\s*(?:$|[).,;:!?\]}]|(?:if|when|with|without|unless|depending|for|or|and|as|because|since)\b)/i;
const ENDS = /^[*"”$%]*\s*(?:$|[).,;:!?\]}]|(?:or|because|since)\b)/i;
/** Nothing but marks and the opening word stands before a candidate. */
const BEGINS =
  /^[\s,;(=≈:*"“$—–/|&-]*(?:but|and|also|so|then|thus|therefore|hence|namely|that is|i\.e\.|meaning|making|giving|(?:with|in|from|for|after))?[\s,;(=≈:*"“$]*(?:[a-z]\s*=\s*)?$/i;

/** Only so much before a candidate can lead to it. */
const REACH = 40;

/** The explanation holds another candidate as a second answer. */
export function offersAnother(answer: string, tail: string, opener: Opener): boolean {
  if (tail === "") return false;
  const text = toAscii(tail);
  const rivals = rivalsOf(answer);
  const found = rivals.in(text);
  return found.some(({ text: candidate, at }, i) => {
    const before = text.slice(Math.max(0, at - REACH), at);
    const after = rivals.behind(text.slice(at + candidate.length, at + candidate.length + 2 * REACH));
    const previous = found[i - 1];
    // "B because A or C are too slow" chooses between others.
    const isPair =
      previous !== undefined &&
      at - previous.at < REACH &&
      PAIR.test(text.slice(previous.at + previous.text.length, at));
    if (OFFERED.test(before) && !isPair) return true;
    if (OFFERED_FIRST.test(after) && rivals.in(after.slice(0, 12)).length === 0) return true;
    if (ALSO.test(after)) return true;
    if (!ALONE.test(after)) return false;
    return EQUATED.test(before) || (opener === "begins" && at <= REACH && BEGINS.test(before));
  });
}

const RETRACTION =
  /^[\s\W]*(?:no\s*[,.!—–-]|no wait|wait\b|hmm+\b|actually\b|or\b|alternatively\b|otherwise\b|sorry\b|correction\b|scratch that|oops\b|maybe\b|perhaps\b|possibly\b|rather\b|i mean\b|on second thought|then again|if not\b|(?:it|this|that|the answer)\s+(?:could|might|may)\b|(?:an|the)\s*other\s+(?:possibility|answer|option|candidate)|或|不对|不對|等等|还是|いや|また?は|아니|또는|oder\b|nein\b|ou\b|non\s*[,.!]|или|нет\s*[,.!])/iu;
/** Before a candidate that a sentence is: "And 73.", "73 because it fits". */
const LEAD = /^\W*(?:and|also|plus|or|so|thus)?\W*(?:[a-z]\s*=\s*)?$/i;
const LAST = /^[*"”$%]*(?:\s*\p{L}+){0,2}\s*(?:$|[,.!?;:)])/u;

/** A later sentence names another candidate instead, or is one. */
export function takesBack(answer: string, rest: string): boolean {
  // Points of a list are no candidates.
  const numbered = /(?<=\n)[\s#*]*\d{1,3}[.):](?=\s+\S)/g;
  const sentences = rest
    .slice(0, 2_000)
    .replace(numbered, "")
    .split(/[.!?](?=\s|$)|[。！？।۔]|\n/u);
  const rivals = rivalsOf(answer);
  return sentences.some((sentence) => {
    const text = toAscii(sentence);
    const found = rivals.in(text);
    const isRetraction = found.length > 0 && RETRACTION.test(text);
    return found.some(({ text: candidate, at }) => {
      const before = text.slice(Math.max(0, at - REACH), at);
      const after = rivals.behind(text.slice(at + candidate.length, at + candidate.length + 2 * REACH));
      const leads = at <= REACH && LEAD.test(before);
      if (ENDS.test(after) && (leads || EQUATED.test(before))) return true;
      return (leads && ALSO.test(after)) || (isRetraction && LAST.test(after));
    });
  });
}
