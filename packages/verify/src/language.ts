/**
 * Which language a text is in. eld (its large table: 60 languages) answers; where it is unsure, and among
 * Hindi's neighbours, franc is asked whether the text is in a language that eld does not know.
 *
 * Both load when a language is first asked for: 1.6 s and about 410 MB, of which the small table would save
 * half, at 20 times as many errors on sentences of three words (README).
 */

/** More than this says no more about the language, and bounds the time. */
const MAX_CHARACTERS = 10_000;

/** Languages of the reference evaluator that eld lacks, by franc's name. */
const UNKNOWN_TO_ELD: ReadonlyMap<string, string> = new Map([
  ["swh", "sw"],
  ["npi", "ne"],
  ["ind", "id"],
  ["som", "so"],
]);
/** eld is sure of these two even when the text is Nepali. */
const SHARE_DEVANAGARI_WITH_NEPALI = ["hi", "mr"];

type Detector = (text: string) => string | undefined;

let loading: Promise<Detector> | undefined;

/** The ISO 639-1 code of the text's language; undefined where nothing in it tells (digits, punctuation). */
export async function detectLanguage(text: string): Promise<string | undefined> {
  loading ??= loadDetector();
  const detect = await loading;
  return detect(text.slice(0, MAX_CHARACTERS));
}

async function loadDetector(): Promise<Detector> {
  const [{ eld }, { franc }] = await Promise.all([import("eld/large"), import("franc-min")]);
  return (text) => {
    const answer = eld.detect(text);
    if (SHARE_DEVANAGARI_WITH_NEPALI.includes(answer.language)) {
      return franc(text, { only: ["hin", "mar", "npi"] }) === "npi" ? "ne" : answer.language;
    }
    if (answer.language === "") return undefined;
    return answer.isReliable() ? answer.language : (UNKNOWN_TO_ELD.get(franc(text)) ?? answer.language);
  };
}
