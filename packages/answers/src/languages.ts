/**
 * Words and marks around an answer, by language. Facts: huggingface/lighteval, tasks/templates/utils/translation_literals.py
 * (MIT); languages that are not here use English marks.
 */
export interface Language {
  readonly answer: string;
  readonly and: string;
  readonly or: string;
  readonly fullStop: string;
  readonly comma: string;
  readonly colon: string;
  /** What stands between sentences and around a choice letter: nothing in Chinese and Japanese. */
  readonly space: string;
  /** The letters that name choices. */
  readonly letters: readonly string[];
}

const LATIN = [..."ABCDEFGHIJ"];
const CYRILLIC = [..."АБВГДЕ"];

const language = (
  answer: string,
  and: string,
  or: string,
  marks = ".,: ",
  letters: readonly string[] = LATIN,
): Language => {
  const [fullStop = ".", comma = ",", colon = ":", space = ""] = [...marks];
  return { answer, and, or, fullStop, comma, colon, space, letters };
};

const WIDE = "。，：";
const DANDA = "।,: ";

export const LANGUAGES: Readonly<Record<string, Language>> = {
  english: language("answer", "and", "or"),
  arabic: language("إجابة", "و", "أو", ".،: ", ["أ", "ب", "ج", "د", "هـ", "و", "ز", "ح"]),
  basque: language("erantzuna", "eta", "ala"),
  belarusian: language("адказ", "і", "ці", ".,: ", CYRILLIC),
  bengali: language("উত্তর", "এবং", "বা", DANDA, ["ক", "খ", "গ", "ঘ", "ঙ", "চ"]),
  bulgarian: language("отговор", "и", "или", ".,: ", CYRILLIC),
  catalan: language("resposta", "i", "o"),
  chinese: language("答案", "和", "或", WIDE),
  croatian: language("odgovor", "i", "ili"),
  czech: language("odpověď", "a", "nebo"),
  danish: language("svar", "og", "eller"),
  dutch: language("antwoord", "en", "of"),
  estonian: language("vastus", "ja", "või"),
  finnish: language("vastaus", "ja", "tai"),
  french: language("réponse", "et", "ou"),
  galician: language("resposta", "e", "ou"),
  german: language("antwort", "und", "oder"),
  greek: language("απάντηση", "και", "ή"),
  gujarati: language("જવાબ", "અને", "અથવા", DANDA, ["અ", "આ", "ઇ", "ઈ", "ઉ", "ઊ"]),
  hindi: language("उत्तर", "और", "या", DANDA, ["क", "ख", "ग", "घ", "ङ", "च"]),
  hungarian: language("válasz", "és", "vagy"),
  icelandic: language("svar", "og", "eða"),
  indonesian: language("jawaban", "dan", "atau"),
  italian: language("risposta", "e", "o"),
  japanese: language("回答", "と", "または", "。、："),
  korean: language("답", "와", "또는"),
  macedonian: language("одговор", "и", "или", ".,: ", CYRILLIC),
  norwegian: language("svar", "og", "eller"),
  polish: language("odpowiedź", "i", "lub"),
  portuguese: language("resposta", "e", "ou"),
  punjabi: language("ਜਵਾਬ", "ਅਤੇ", "ਜਾਂ", DANDA),
  romanian: language("răspuns", "și", "sau"),
  russian: language("ответ", "и", "или", ".,: ", CYRILLIC),
  serbian: language("одговор", "и", "или", ".,: ", CYRILLIC),
  slovak: language("odpoveď", "a", "alebo"),
  spanish: language("respuesta", "y", "o"),
  swahili: language("jibu", "na", "au"),
  swedish: language("svar", "och", "eller"),
  tagalog: language("sagot", "at", "o"),
  tamil: language("பதில்", "மற்றும்", "அல்லது", DANDA),
  tatar: language("җавап", "һәм", "яки", ".,: ", CYRILLIC),
  telugu: language("జవాబు", "మరియు", "లేదా", ".,: ", ["ఎ", "బి", "సి", "డి", "ఇ"]),
  thai: language("คำตอบ", "และ", "หรือ", ".,: ", [..."๑๒๓๔๕๖๗๘๙๐"]),
  turkish: language("cevap", "ve", "veya"),
  ukrainian: language("відповідь", "і", "або", ".,: ", CYRILLIC),
  urdu: language("جواب", "اور", "یا", "۔،: "),
  uzbek: language("javob", "va", "yoki"),
  vietnamese: language("trả lời", "và", "hoặc"),
};

export const ENGLISH = LANGUAGES["english"] as Language;
