/**
 * Where a response announces its answer: "the answer is", "Answer:", a heading of its own, 答案是, 정답은, "la réponse est", in
 * about forty languages. A word that needs a border has one only where its script writes borders: 答案是B.
 */
import { LANGUAGES } from "./languages.js";

const alternatives = (words: readonly string[]): string =>
  [...new Set(words)].sort((a, b) => b.length - a.length).join("|");

/** Of scripts that put spaces between words; behind them the word has to end. */
const SPACED_VERBS =
  "is|are|was|equals|est|sont|ist|sind|lautet|beträgt|es|son|è|é|são|jest|är|är|er|это|равен|равна|равно|составляет|adalah|là|ni|هو|هي|है|हैं|হলো|হল|হয়|হবে|হচ্ছে|అంటే";
/** Of scripts without spaces, and particles that grow onto a word. */
const JOINED_VERBS =
  "(?:就|便|应该|應該|应|應|显然|當然|当然)?(?:是|为|為)|等于|等於|即|[はが]、?|คือ|เป็น|은|는|이|가|ఏమిటంటే";

const WORDS = [
  ...Object.values(LANGUAGES).map((language) => language.answer),
  ..."answers 答え 答 正解 解答 정답 해답 الجواب الإجابة సమాధానం ตอบ উত্তরটি".split(" "),
  "(?:correct|right|best|final) (?:option|choice)",
  "正确的?选项",
  "正確的?選項",
];
const ANSWER_WORDS = alternatives([...WORDS, "solution"]);

/** Of scripts whose languages say "the answer 18", without a verb. */
const VERBLESS = alternatives(
  WORDS.filter((word) => /^[^a-z(?]+$/i.test(word.normalize("NFD").replace(/\p{M}/gu, ""))),
);

/** Between the word and its verb: "the answer to the question is", "la respuesta correcta es", "jibu la mwisho ni". */
const BETWEEN = alternatives([
  ..."to|of|for|final|finale|correct|correcta|correcte|exacte|exacta|definitiva|finala|richtige|sahihi|cuối|đúng|akhir|النهائي|النهائية|الصحيح|الصحيحة|सही|सठिक".split(
    "|",
  ),
  "à la question",
  "a la pregunta",
  "auf die frage",
  "на вопрос",
  "на этот вопрос",
  "на задачу",
  "la mwisho",
]);
const JOINED_BETWEEN = "ที่ถูกต้อง|สุดท้าย|ของคำถาม(?:นี้)?|です";

const VALUE_AHEAD =
  "(?=[-−$\\\\*（(「]{0,4}(?:[\\p{Nd}〇零一二三四五六七八九十百千万萬亿億]|[A-JＡ-Ｊ](?![\\p{Script=Latin}])))";

const PHRASE = new RegExp(
  `(?:${ANSWER_WORDS}|(?<!\\p{L})ans\\.?)[*_]{0,3}(?:\\s+(?:${BETWEEN})(?!\\p{L})[^.\\n:：]{0,60}?|(?:${JOINED_BETWEEN}))?\\s*` +
    `(?:(?:(?:${SPACED_VERBS})(?![\\p{L}\\p{M}])|${JOINED_VERBS})\\s*[*_]{0,3}[:：]?|[:：—–=】\\]](?!=)[:：]?)` +
    // Verb first: "daher ist die Antwort 18".
    `|(?<!\\p{L})(?:ist|lautet|beträgt)\\s+(?:somit |also |daher )?(?:die|unsere)\\s+(?:\\p{L}+\\s+)?Antwort\\s*[:：]?` +
    `|(?:${VERBLESS})\\s*${VALUE_AHEAD}`,
  "giu",
);

/** "### Final Answer", "**Answer**": a line that says no more, so that the answer is the next. */
const HEADING = new RegExp(
  `^[ \\t]{0,8}[#*_>]{1,6}[ \\t]{0,8}(?:the )?(?:(?:final|correct) )?(?:${alternatives(WORDS)})[ \\t*_:：]{0,20}\\n`,
  "gimu",
);

/** 故选B。 with nothing behind the letter: 选项B是错的 announces nothing, and 不选B the contrary. */
const CHOSEN =
  /(?<![不别勿没未若果])(?:选择|選擇|选项|選項|选|選|選択肢)[是为為]?\s*[:：]?\s*(?=第?\s*[（(]?[A-JＡ-Ｊ][）)]?\s*(?:选?项|選項)?\s*(?:[。.，,；;！!\n*]|$))/gu;

/** What stands behind the last announcement, to the end of the response. */
export function lastAnnounced(text: string): string | undefined {
  const ends = (pattern: RegExp): number => {
    const last = [...text.matchAll(pattern)].at(-1);
    return last === undefined ? -1 : last.index + last[0].length;
  };
  const end = Math.max(ends(PHRASE), ends(HEADING));
  const from = end >= 0 ? end : ends(CHOSEN);
  return from < 0 ? undefined : text.slice(from);
}
