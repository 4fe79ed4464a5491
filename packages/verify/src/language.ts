/**
 * Which language a text is in. eld answers for 60 languages. Of IFEval's it lacks Swahili and Nepali: where it
 * is unsure, and where it says Hindi or Marathi, franc is asked for those two.
 *
 * Both load when a language is first asked for: 0.2 s of processor time and 150 MB with eld's small table. Its
 * large one takes 410 MB, and errs as often on sentences and on six words, a sixth less often on three.
 */

/** More than this says no more about the language, and bounds the time. */
const MAX_CHARACTERS = 10_000;
/** eld reads no further; a longer text is asked about piece by piece. */
const PIECE = 1_000;

/** eld is sure of these two even when the text is in Nepali, which it does not know. */
const LIKE_NEPALI = ["hi", "mr"];

type Detector = (text: string) => string | undefined;

let loading: Promise<Detector> | undefined;

/**
 * The ISO 639-1 code of the language of most of the text; undefined where nothing in it tells (digits,
 * punctuation).
 */
export async function detectLanguage(text: string): Promise<string | undefined> {
  loading ??= loadDetector();
  const detect = await loading;
  const characters = new Map<string, number>();
  for (let start = 0; start < Math.min(text.length, MAX_CHARACTERS); start += PIECE) {
    const piece = text.slice(start, start + PIECE);
    const language = detect(piece);
    if (language !== undefined) characters.set(language, (characters.get(language) ?? 0) + piece.length);
  }
  const most = Math.max(...characters.values());
  return [...characters.keys()].find((language) => characters.get(language) === most);
}

async function loadDetector(): Promise<Detector> {
  const [{ eld }, { franc }] = await Promise.all([import("eld/small"), import("franc-min")]);
  return (text) => {
    const answer = eld.detect(text);
    if (answer.language === "") return undefined;
    if (LIKE_NEPALI.includes(answer.language)) {
      return franc(text, { only: ["hin", "mar", "npi"] }) === "npi" ? "ne" : answer.language;
    }
    return !answer.isReliable() && franc(text) === "swh" ? "sw" : answer.language;
  };
}
