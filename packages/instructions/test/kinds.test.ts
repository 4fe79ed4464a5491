/**
 * For every kind: parameters are drawn, a response is made that does what the sentence asks and passes, and
 * one that does not and fails. What satisfies is written here from the parameters, not from the checks.
 */
import { expect, test } from "vitest";
import { seededRandom } from "../../../tests/support/random.js";
import { checkInstructions, findKind, goTogether, instructionKinds } from "../src/index.js";
import { drawOne } from "../src/instruction.js";

const PROMPT = "Tell me about lighthouses, please.";
const SENTENCE = "The old lighthouse stands on a rock above the grey sea";
const GERMAN =
  "Der alte Leuchtturm steht auf einem Felsen und leuchtet jede Nacht weit über das Meer hinaus.";
const SAMPLES: Readonly<Record<string, string>> = {
  ar: "تقف المنارة القديمة على صخرة فوق البحر وتضيء كل ليلة للسفن البعيدة.",
  bg: "Старият фар стои на скала над морето и свети всяка нощ за далечните кораби.",
  bn: "পুরোনো বাতিঘরটি সমুদ্রের উপরে একটি পাথরের উপর দাঁড়িয়ে আছে এবং প্রতি রাতে জাহাজগুলোকে পথ দেখায়।",
  de: GERMAN,
  en: `${SENTENCE} and its light shines every night for the ships far away.`,
  es: "El viejo faro está sobre una roca encima del mar y cada noche alumbra a los barcos lejanos.",
  fa: "فانوس دریایی قدیمی روی صخره‌ای بالای دریا ایستاده است و هر شب برای کشتی‌های دور می‌درخشد.",
  fi: "Vanha majakka seisoo kalliolla meren yläpuolella ja valaisee joka yö kaukaisia laivoja.",
  fr: "Le vieux phare se dresse sur un rocher au-dessus de la mer et éclaire chaque nuit les navires.",
  gu: "જૂની દીવાદાંડી સમુદ્રની ઉપર એક ખડક પર ઊભી છે અને દરરોજ રાત્રે વહાણોને રસ્તો બતાવે છે.",
  he: "המגדלור הישן עומד על סלע מעל הים ומאיר כל לילה לאוניות הרחוקות.",
  hi: "पुराना प्रकाशस्तंभ समुद्र के ऊपर एक चट्टान पर खड़ा है और हर रात जहाजों को रास्ता दिखाता है।",
  it: "Il vecchio faro si trova su una roccia sopra il mare e ogni notte illumina le navi lontane.",
  ja: "古い灯台は海の上の岩に立っていて、毎晩遠くの船を照らしています。",
  kn: "ಹಳೆಯ ದೀಪಸ್ತಂಭವು ಸಮುದ್ರದ ಮೇಲಿನ ಬಂಡೆಯ ಮೇಲೆ ನಿಂತಿದೆ ಮತ್ತು ಪ್ರತಿ ರಾತ್ರಿ ಹಡಗುಗಳಿಗೆ ಬೆಳಕು ನೀಡುತ್ತದೆ.",
  ko: "오래된 등대는 바다 위의 바위에 서서 매일 밤 먼 배들을 비춘다.",
  ml: "പഴയ വിളക്കുമാടം കടലിനു മുകളിലുള്ള ഒരു പാറയിൽ നിൽക്കുന്നു, എല്ലാ രാത്രിയും കപ്പലുകൾക്ക് വെളിച്ചം നൽകുന്നു.",
  mr: "जुना दीपस्तंभ समुद्रावरील एका खडकावर उभा आहे आणि दररोज रात्री दूरच्या जहाजांना प्रकाश देतो.",
  ne: "पुरानो प्रकाशस्तम्भ समुद्रमाथिको चट्टानमा उभिएको छ र हरेक रात टाढाका जहाजहरूलाई बाटो देखाउँछ।",
  pa: "ਪੁਰਾਣਾ ਚਾਨਣ ਮੁਨਾਰਾ ਸਮੁੰਦਰ ਦੇ ਉੱਪਰ ਇੱਕ ਚੱਟਾਨ ਤੇ ਖੜ੍ਹਾ ਹੈ ਅਤੇ ਹਰ ਰਾਤ ਜਹਾਜ਼ਾਂ ਨੂੰ ਰਾਹ ਦਿਖਾਉਂਦਾ ਹੈ।",
  pl: "Stara latarnia morska stoi na skale nad morzem i każdej nocy świeci dla dalekich statków.",
  pt: "O velho farol fica numa rocha acima do mar e todas as noites ilumina os navios que estão longe.",
  ru: "Старый маяк стоит на скале над морем и каждую ночь светит далёким кораблям.",
  sw: "Mnara wa taa wa zamani umesimama juu ya mwamba karibu na bahari na kila usiku unawaonyesha mabaharia njia.",
  ta: "பழைய கலங்கரை விளக்கம் கடலுக்கு மேலே ஒரு பாறையில் நின்று ஒவ்வொரு இரவும் கப்பல்களுக்கு ஒளி தருகிறது.",
  te: "పాత దీపస్తంభం సముద్రం పైన ఒక రాతిపై నిలబడి ప్రతి రాత్రి ఓడలకు వెలుగు ఇస్తుంది.",
  th: "ประภาคารเก่าตั้งอยู่บนโขดหินเหนือทะเลและส่องแสงให้เรือทุกคืน",
  uk: "Старий маяк стоїть на скелі над морем і щоночі світить далеким кораблям.",
  ur: "پرانا مینار سمندر کے اوپر ایک چٹان پر کھڑا ہے اور ہر رات دور کے جہازوں کو راستہ دکھاتا ہے۔",
  vi: "Ngọn hải đăng cũ đứng trên một tảng đá phía trên biển và chiếu sáng cho những con tàu mỗi đêm.",
};

const copies = (count: number, text: string, between = " ") =>
  Array.from({ length: count }, () => text).join(between);
const numbered = (count: number, item: (number: number) => string, between: string) =>
  Array.from({ length: count }, (_, index) => item(index + 1)).join(between);
/** So many where "at least" is asked for, one fewer where "less than" is; and the other way round to break it. */
const enough = (relation: string, count: number) => (relation === "at least" ? count : count - 1);
const wrong = (relation: string, count: number) => (relation === "at least" ? count - 1 : count);

/** The parameters of all kinds; each has some of them. */
interface Kwargs {
  readonly keywords: readonly string[];
  readonly keyword: string;
  readonly frequency: number;
  readonly relation: string;
  readonly forbidden_words: readonly string[];
  readonly letter: string;
  readonly let_frequency: number;
  readonly let_relation: string;
  readonly language: string;
  readonly num_sentences: number;
  readonly num_words: number;
  readonly num_paragraphs: number;
  readonly nth_paragraph: number;
  readonly first_word: string;
  readonly num_placeholders: number;
  readonly postscript_marker: string;
  readonly num_bullets: number;
  readonly num_highlights: number;
  readonly section_spliter: string;
  readonly num_sections: number;
  readonly end_phrase: string;
  readonly capital_frequency: number;
  readonly capital_relation: string;
}

interface Maker {
  readonly follow: (kwargs: Kwargs) => string;
  readonly breach: (kwargs: Kwargs) => string;
}

const paragraphs = (k: Kwargs, first: string) =>
  numbered(
    k.num_paragraphs,
    (number) => (number === k.nth_paragraph ? `${first} and more.` : `${SENTENCE}.`),
    "\n\n",
  );

const makers: Readonly<Record<string, Maker>> = {
  "keywords:existence": {
    follow: (k) => `${SENTENCE}, ${k.keywords.join(" and ").toUpperCase()}.`,
    breach: (k) => `${SENTENCE}, ${k.keywords[0]}.`,
  },
  "keywords:frequency": {
    follow: (k) => `Well. ${copies(enough(k.relation, k.frequency), k.keyword)}`,
    breach: (k) => `Well. ${copies(wrong(k.relation, k.frequency), k.keyword)}`,
  },
  "keywords:forbidden_words": {
    follow: (k) => `${SENTENCE} x${k.forbidden_words[0]}x.`,
    breach: (k) => `${SENTENCE} (${k.forbidden_words[1]!.toUpperCase()}).`,
  },
  "keywords:letter_frequency": {
    follow: (k) => `12 ${copies(enough(k.let_relation, k.let_frequency), k.letter.toUpperCase())}`,
    breach: (k) => `12 ${copies(wrong(k.let_relation, k.let_frequency), k.letter)}`,
  },
  "language:response_language": {
    follow: (k) => SAMPLES[k.language]!,
    breach: (k) => SAMPLES[k.language === "en" ? "de" : "en"]!,
  },
  "length_constraints:number_sentences": {
    follow: (k) => copies(enough(k.relation, k.num_sentences), "Dr. Smith (the 2nd) paid 3.50 dollars."),
    breach: (k) =>
      copies(wrong(k.relation, k.num_sentences), "Mrs. J. Bell of the U.S. navy saw it... and left."),
  },
  "length_constraints:number_words": {
    follow: (k) => copies(enough(k.relation, k.num_words), "sea"),
    breach: (k) => copies(wrong(k.relation, k.num_words), "lighthouse,"),
  },
  "length_constraints:number_paragraphs": {
    follow: (k) => `${copies(k.num_paragraphs, SENTENCE, "\n***\n")}\n***`,
    breach: (k) => copies(k.num_paragraphs + 1, SENTENCE, "\n***\n"),
  },
  "length_constraints:nth_paragraph_first_word": {
    follow: (k) => paragraphs(k, `"${k.first_word}!"`),
    breach: (k) => paragraphs(k, "Otherwise"),
  },
  "detectable_content:number_placeholders": {
    follow: (k) => copies(k.num_placeholders, "Dear [name],"),
    breach: (k) => `${copies(k.num_placeholders - 1, "Dear [name],")} [na\nme]`,
  },
  "detectable_content:postscript": {
    follow: (k) => `${SENTENCE}.\n\n${k.postscript_marker} Come back soon.`,
    breach: () => `${SENTENCE}.\n\nPS Come back soon.`,
  },
  "detectable_format:number_bullet_lists": {
    follow: (k) =>
      `Reasons:\n${numbered(k.num_bullets, (n) => (n % 2 ? "* a reason" : "  - another"), "\n")}`,
    breach: (k) => `Reasons:\n${copies(k.num_bullets + 1, "* a reason", "\n")}`,
  },
  "detectable_format:constrained_response": {
    follow: () => "  My answer is maybe.",
    breach: () => "My answer is yes",
  },
  "detectable_format:number_highlighted_sections": {
    follow: (k) => copies(k.num_highlights, "*the sea*", "\n"),
    breach: (k) => `${copies(k.num_highlights - 1, "*the sea*", "\n")}\n* the sea\n* *`,
  },
  "detectable_format:multiple_sections": {
    follow: (k) => numbered(k.num_sections, (n) => `${k.section_spliter} ${n}\n${SENTENCE}.`, "\n"),
    breach: (k) =>
      numbered(k.num_sections - 1, (n) => `${k.section_spliter} ${n}\n${SENTENCE}.`, "\n") || "No part.",
  },
  "detectable_format:json_format": {
    follow: () => '```json\n{"sea": [1, NaN, "NaN"]}\n```',
    breach: () => 'Here it is: {"sea": 1}',
  },
  "detectable_format:title": {
    follow: () => `<<The lighthouse>>\n${SENTENCE}.`,
    breach: () => `<<The\nlighthouse>> << >> <The lighthouse>`,
  },
  "combination:two_responses": {
    follow: () => `${SENTENCE}.\n******\n${GERMAN}`,
    breach: () => `${SENTENCE}.\n******\n ${SENTENCE}.`,
  },
  "combination:repeat_prompt": {
    follow: () => `${PROMPT}\n\n${SENTENCE}.`,
    breach: () => `Sure! ${PROMPT}\n\n${SENTENCE}.`,
  },
  "startend:end_checker": {
    follow: (k) => `"${SENTENCE}. ${k.end_phrase}"`,
    breach: (k) => `${SENTENCE}. ${k.end_phrase} Yes.`,
  },
  "startend:quotation": {
    follow: () => `  "${SENTENCE}."\n`,
    breach: () => `"${SENTENCE}." Yes.`,
  },
  "change_case:capital_word_frequency": {
    follow: (k) => `Well, ${copies(enough(k.capital_relation, k.capital_frequency), "STATE-OF-THE-ART")}`,
    breach: (k) => `Well, ${copies(wrong(k.capital_relation, k.capital_frequency), "U.S.A. sea")}`,
  },
  "change_case:english_capital": {
    follow: () => SAMPLES["en"]!.toUpperCase(),
    breach: () => SAMPLES["fr"]!.toUpperCase(),
  },
  "change_case:english_lowercase": {
    follow: () => SAMPLES["en"]!.toLowerCase(),
    breach: () => SAMPLES["en"]!,
  },
  "punctuation:no_comma": {
    follow: () => `${SENTENCE}.`,
    breach: () => `${SENTENCE}, yes.`,
  },
};

test("there are 25 kinds, each with a maker of responses", () => {
  expect(instructionKinds.map((kind) => kind.id).sort()).toEqual(Object.keys(makers).sort());
  expect(new Set(instructionKinds.map((kind) => kind.id)).size).toBe(25);
});

test.each(instructionKinds.map((kind) => [kind.id, kind] as const))(
  "%s: what follows passes, what does not fails",
  async (id, kind) => {
    for (let seed = 1; seed <= 60; seed++) {
      const kwargs = kind.generate(seededRandom(seed), PROMPT) as unknown as Kwargs;
      const { follow, breach } = makers[id]!;
      for (const strictness of ["strict", "loose"] as const) {
        const followed = await checkInstructions(follow(kwargs), [{ id, kwargs }], strictness);
        expect(followed, `${JSON.stringify(kwargs)}: ${follow(kwargs)}`).toMatchObject({ outcome: "pass" });
      }
      const breached = await checkInstructions(breach(kwargs), [{ id, kwargs }], "strict");
      expect(breached, `${JSON.stringify(kwargs)}: ${breach(kwargs)}`).toMatchObject({ outcome: "fail" });
    }
  },
);

test.each(instructionKinds.map((kind) => [kind.id, kind] as const))("%s: draws and sentence", (id, kind) => {
  const draws = Array.from({ length: 200 }, (_, seed) => kind.generate(seededRandom(seed), PROMPT));
  expect(draws).toEqual(Array.from({ length: 200 }, (_, seed) => kind.generate(seededRandom(seed), PROMPT)));
  const distinct = new Set(draws.map((kwargs) => JSON.stringify(kwargs))).size;
  const isFixed = Object.keys(kind.kwargs.shape).length === 0 || id === "combination:repeat_prompt";
  expect(distinct > 1).toBe(!isFixed);
  for (const kwargs of draws) {
    expect(kind.kwargs.safeParse(kwargs).success).toBe(true);
    const sentence = kind.describe(kwargs);
    for (const value of Object.values(kwargs).flat()) {
      if (id === "combination:repeat_prompt" || id === "language:response_language") continue;
      expect(sentence).toContain(String(value));
    }
  }
});

test("draws cover every choice, the first and the last", () => {
  const random = seededRandom(3);
  const drawn = new Set(Array.from({ length: 200 }, () => drawOne(random, ["a", "b", "c"])));
  expect([...drawn].sort()).toEqual(["a", "b", "c"]);
});

test("conflicts hold in both directions", () => {
  for (const { id: first } of instructionKinds) {
    expect(goTogether(first, first)).toBe(false);
    for (const { id: second } of instructionKinds)
      expect(goTogether(first, second)).toBe(goTogether(second, first));
  }
  expect(goTogether("keywords:existence", "language:response_language")).toBe(false);
  expect(goTogether("change_case:english_capital", "change_case:english_lowercase")).toBe(false);
  expect(goTogether("combination:repeat_prompt", "detectable_format:title")).toBe(true);
  expect(goTogether("punctuation:no_comma", "length_constraints:number_words")).toBe(true);
});

test("the four kinds without an entry in the reference's registry can be checked, not drawn", () => {
  for (const id of [
    "multi-turn:constrained_start",
    "keywords:key_sentences",
    "detectable_format:rephrase",
    "detectable_content:rephrase_paragraph",
  ]) {
    expect(findKind(id)?.id).toBe(id);
    expect(instructionKinds.some((kind) => kind.id === id)).toBe(false);
  }
});
