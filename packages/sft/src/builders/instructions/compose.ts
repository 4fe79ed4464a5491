// A request with instructions that a program can check, and a response that follows them: the response is made first, with the marks that its kinds of
// instructions ask for; what they ask of numbers and words is then read off it.
import { goTogether, type InstructionRequest, instructionKinds } from "@posttrain/instructions";
import type { Draws } from "../draws.js";
import {
  drawSubject,
  limitBeside,
  type Note,
  type NoteLanguage,
  noteLanguages,
  type Subject,
} from "./notes.js";

export interface Composed {
  readonly subject: string;
  readonly request: string;
  readonly instructions: readonly Required<InstructionRequest>[];
  readonly response: string;
}

/** As many instructions as the grade says, of kinds that go together. Undefined: these draws came to none. */
export function compose(draw: Draws, difficulty: number): Composed | undefined {
  const kinds = drawKinds(draw, difficulty);
  if (kinds === undefined) return undefined;
  const has = (id: string): boolean => kinds.includes(id);
  if (has("detectable_format:constrained_response")) return decided(draw);
  const subject = drawSubject(draw, Math.min(7, 3 + difficulty));
  const request = `${draw.pick(requests).replaceAll("{title}", subject.title)}\n\n${subject.notes.map(({ key, value }) => `${key}: ${value}`).join("\n")}`;
  const text = has("detectable_format:json_format") ? asJson(subject, draw) : undefined;
  const made = text === undefined ? written({ subject, request, draw, has }) : { text, marks: {} };
  const instructions = kinds.map((id) => {
    const kwargs = made.marks[id] ?? readOff[id]?.({ text: made.text, subject, draw, difficulty }) ?? {};
    return { id, kwargs };
  });
  return { subject: subject.kind, request, instructions, response: made.text };
}

const requests = [
  "Write a short text about {title} from these notes.",
  "Turn these notes into a short description of {title}.",
  "Tell a visitor about {title}. Say nothing that these notes do not say.",
  "Here are notes on {title}. Make a text of them.",
  "A friend asks you about {title}. Answer with what these notes say.",
  "Write a few lines on {title} for a newsletter. These are the facts.",
];

/** Undefined: the first kind goes with too few others. */
function drawKinds(draw: Draws, count: number): readonly string[] | undefined {
  const kinds: string[] = [];
  for (const { id } of draw.shuffled(instructionKinds))
    if (kinds.length < count && kinds.every((other) => goTogether(id, other))) kinds.push(id);
  return kinds.length === count ? kinds : undefined;
}

/** A question about one note, which may be missing. */
function decided(draw: Draws): Composed | undefined {
  const id = "detectable_format:constrained_response";
  const { kind, title, notes, untold } = drawSubject(draw, 4);
  const numbered = (all: readonly Note[]) => all.filter(({ above }) => above !== undefined);
  const asked = draw.pick(draw.chance(1 / 3) ? numbered(untold) : numbered(notes));
  const value = Number(asked.value);
  const limit = limitBeside(draw, value);
  if (limit === value) return undefined;
  const listed = notes.map(({ key, value }) => `${key}: ${value}`).join("\n");
  const response = notes.includes(asked)
    ? `${asked.say.en[0]} My answer is ${value > limit ? "yes" : "no"}.`
    : `The notes do not say that. My answer is maybe.`;
  return {
    subject: kind,
    request: `These are notes on ${title}.\n\n${listed}\n\n${asked.above!(limit)}`,
    instructions: [{ id, kwargs: {} }],
    response,
  };
}

function asJson({ name, notes }: Subject, draw: Draws): string {
  const entries = Object.fromEntries([["name", name], ...notes.map(({ key, value }) => [key, value])]);
  const json = JSON.stringify(entries, null, draw.pick([undefined, 2]));
  return draw.chance(0.5) ? `\`\`\`json\n${json}\n\`\`\`` : json;
}

/** Parameters that follow from how a text is marked, by kind. */
type Marks = Readonly<Record<string, Readonly<Record<string, unknown>>>>;

interface Writing {
  readonly subject: Subject;
  readonly request: string;
  readonly draw: Draws;
  readonly has: (id: string) => boolean;
}

function written({ subject, request, draw, has }: Writing): { readonly text: string; readonly marks: Marks } {
  const marks: Record<string, Readonly<Record<string, unknown>>> = {};
  const [upper, lower] = [has("change_case:english_capital"), has("change_case:english_lowercase")];
  const language = has("language:response_language") ? draw.pick(noteLanguages.slice(1)) : "en";
  if (language !== "en") marks["language:response_language"] = { language };
  const commas = language === "en" && !has("punctuation:no_comma");
  const body = (): string => {
    let notes = draw.shuffled(subject.notes);
    const bullets: string[] = [];
    if (has("detectable_format:number_bullet_lists")) {
      const count = draw.int(2, notes.length - 1);
      // With highlights, lines that begin with an asterisk would count as either.
      const mark = has("detectable_format:number_highlighted_sections") ? "-" : draw.pick(["-", "*"]);
      bullets.push(...notes.slice(0, count).map(({ key, value }) => `${mark} ${key}: ${value}`));
      notes = notes.slice(count);
      marks["detectable_format:number_bullet_lists"] = { num_bullets: count };
    }
    const said = notes.map((note) => sentenceOf(note, language, commas, draw));
    const sentences = withHighlights(said, notes, { has, draw, marks });
    if (has("change_case:capital_word_frequency")) shout(sentences, subject.name, draw);
    if (has("detectable_content:number_placeholders")) {
      const count = draw.int(1, 3);
      sentences.push(placeholders[language][count - 1]!);
      marks["detectable_content:number_placeholders"] = { num_placeholders: count };
    }
    const blocks = inBlocks(sentences, bullets, { has, draw, marks, upper, lower });
    if (has("detectable_content:postscript")) {
      const marker = draw.pick(["P.S.", "P.P.S"]);
      const last = blocks.length - 1;
      blocks[last] += `\n${marker} ${postscripts[language]}`;
      marks["detectable_content:postscript"] = { postscript_marker: marker };
    }
    return blocks.join(has("length_constraints:number_paragraphs") ? "\n\n***\n\n" : "\n\n");
  };
  let text = body();
  if (has("combination:two_responses")) {
    const other = body();
    text = `${text}\n******\n${other}`;
  }
  if (has("detectable_format:title"))
    text = `<<${draw.pick(titles[language]).replace("{n}", subject.name)}>>\n${text}`;
  if (has("startend:end_checker")) {
    const phrase = draw.pick(phrases);
    text += `\n${phrase}`;
    marks["startend:end_checker"] = { end_phrase: phrase };
  }
  if (has("combination:repeat_prompt")) {
    text = `${request}\n\n${text}`;
    marks["combination:repeat_prompt"] = { prompt_to_repeat: request };
  }
  if (upper) text = text.toUpperCase();
  if (lower) text = text.toLowerCase();
  return { text: has("startend:quotation") ? `"${text}"` : text, marks };
}

function sentenceOf({ say }: Note, language: NoteLanguage, commas: boolean, draw: Draws): string {
  const sentence = draw.pick(say[language]);
  if (!commas || !draw.chance(0.3)) return sentence;
  const small =
    /^(?:The|Its|In|On|There|From|People|Every|Children|Walkers|Groups|Most|Fresh|Visitors|Whoever|Who|A) /.test(
      sentence,
    );
  return `${draw.pick(openers)} ${small ? sentence[0]!.toLowerCase() + sentence.slice(1) : sentence}`;
}

const openers = ["As the notes say,", "For those who like numbers,", "By the way,", "To be exact,"];

const placeholders: Readonly<Record<NoteLanguage, readonly string[]>> = {
  en: [
    "Questions go to [name].",
    "Questions go to [name] at [address].",
    "On [date] questions go to [name] at [address].",
  ],
  de: [
    "Fragen beantwortet [Name].",
    "Fragen beantwortet [Name] unter [Adresse].",
    "Am [Datum] beantwortet [Name] Fragen unter [Adresse].",
  ],
  fr: [
    "Pour les questions il y a [nom].",
    "Pour les questions il y a [nom] au [adresse].",
    "Le [date] vous trouverez [nom] au [adresse].",
  ],
  es: [
    "Las preguntas las responde [nombre].",
    "Las preguntas las responde [nombre] en [dirección].",
    "El [fecha] las preguntas las responde [nombre] en [dirección].",
  ],
};

const postscripts: Readonly<Record<NoteLanguage, string>> = {
  en: "All of this comes from the notes.",
  de: "Das alles steht in den Notizen.",
  fr: "Tout cela se trouve dans les notes.",
  es: "Todo esto se encuentra en las notas.",
};

const titles: Readonly<Record<NoteLanguage, readonly string[]>> = {
  en: ["What there is to know about {n}", "{n} in a few words", "Notes on {n}"],
  de: ["Was man über {n} wissen sollte"],
  fr: ["Ce qu'il faut savoir de {n}"],
  es: ["Lo que hay que saber de {n}"],
};

const phrases = [
  "I hope this helps.",
  "Let me know what you think.",
  "Is there anything else you would like to know?",
  "That is all for today.",
  "This is what the notes say.",
];

interface Marking {
  readonly has: (id: string) => boolean;
  readonly draw: Draws;
  readonly marks: Record<string, Readonly<Record<string, unknown>>>;
}

/** The values of the first few sentences in asterisks. */
function withHighlights(
  sentences: readonly string[],
  notes: readonly Note[],
  { has, draw, marks }: Marking,
): string[] {
  const id = "detectable_format:number_highlighted_sections";
  if (!has(id)) return [...sentences];
  const count = draw.int(1, Math.min(4, sentences.length));
  marks[id] = { num_highlights: count };
  return sentences.map((sentence, i) =>
    i < count ? sentence.replace(String(notes[i]!.value), (value) => `*${value}*`) : sentence,
  );
}

/** Says the name in capitals here and there. */
function shout(sentences: string[], name: string, draw: Draws): void {
  for (const [i, sentence] of sentences.entries())
    if (draw.chance(0.8)) sentences[i] = sentence.replaceAll(name, name.toUpperCase());
  sentences.push(`Remember the name ${name.toUpperCase()}.`);
}

function inBlocks(
  sentences: readonly string[],
  bullets: readonly string[],
  { has, draw, marks, upper, lower }: Marking & { readonly upper: boolean; readonly lower: boolean },
): string[] {
  const [divided, sections, nth] = [
    has("length_constraints:number_paragraphs"),
    has("detectable_format:multiple_sections"),
    has("length_constraints:nth_paragraph_first_word"),
  ];
  const isCut = divided || sections || nth;
  const count = Math.min(sentences.length, isCut ? draw.int(2, 4) : draw.int(1, 2));
  const blocks = Array.from({ length: count }, (_, i) =>
    sentences
      .slice(Math.round((i * sentences.length) / count), Math.round(((i + 1) * sentences.length) / count))
      .join(" "),
  );
  blocks[count - 1] = [blocks[count - 1]!, ...bullets].join("\n");
  if (sections) {
    const name = draw.pick(["Section", "Part", "Chapter"]);
    const word = upper ? name.toUpperCase() : lower ? name.toLowerCase() : name;
    for (const [i, block] of blocks.entries()) blocks[i] = `${word} ${i + 1}\n${block}`;
    marks["detectable_format:multiple_sections"] = { section_spliter: word, num_sections: count };
  }
  if (divided) marks["length_constraints:number_paragraphs"] = { num_paragraphs: count };
  if (nth) {
    // A title would be the first word of the first.
    const which = draw.int(Math.min(2, count), count);
    const first_word = /^[\w']+/.exec(blocks[which - 1]!)?.[0] ?? "The";
    marks["length_constraints:nth_paragraph_first_word"] = {
      ...{ num_paragraphs: count, nth_paragraph: which },
      first_word: upper || lower ? first_word.toLowerCase() : first_word,
    };
  }
  return blocks;
}

interface Reading {
  readonly text: string;
  readonly subject: Subject;
  readonly draw: Draws;
  readonly difficulty: number;
}

/** Parameters of what a finished text holds, close to it in high grades. */
const readOff: Readonly<Record<string, (reading: Reading) => Readonly<Record<string, unknown>>>> = {
  "keywords:existence": ({ text, draw, difficulty }) => {
    const words = [...new Set(text.match(/[a-z]{5,}/gi) ?? [])];
    return { keywords: draw.some(words, Math.min(words.length, difficulty > 2 ? 3 : 2)) };
  },
  "keywords:frequency": ({ text, subject, ...reading }) => {
    const words = [subject.name, ...(text.match(/[a-z]{5,}/gi) ?? [])];
    const keyword = words.find((word) => text.includes(word)) as string;
    const { least, relation } = beside(occurrences(text, keyword), reading);
    return { keyword, frequency: least, relation };
  },
  "keywords:forbidden_words": ({ text, draw, difficulty }) => {
    const absent = tempting.filter((word) => !new RegExp(`\\b${word}\\b`, "i").test(text));
    return { forbidden_words: draw.some(absent, difficulty > 2 ? 3 : 2) };
  },
  "keywords:letter_frequency": ({ text, draw, difficulty }) => {
    const letter = draw.pick([...new Set(text.toLowerCase().match(/[a-z]/g) ?? ["e"])]);
    const { least, relation } = beside(occurrences(text, letter), { draw, difficulty });
    return { letter, let_frequency: least, let_relation: relation };
  },
  "length_constraints:number_words": ({ text, ...reading }) => {
    const { least, relation } = beside((text.match(/[\p{L}\p{N}_]+/gu) ?? []).length, reading);
    return { num_words: least, relation };
  },
  "length_constraints:number_sentences": ({ text, ...reading }) => {
    const { least, relation } = beside((text.match(/[.?!](?:\s|"|$)/g) ?? []).length, reading);
    return { num_sentences: least, relation };
  },
  "change_case:capital_word_frequency": ({ text, ...reading }) => {
    const { least, relation } = beside((text.match(/\b[A-Z]+\b/g) ?? []).length, reading);
    return { capital_frequency: least, capital_relation: relation };
  },
};

const tempting = [
  ...[
    "beautiful",
    "famous",
    "very",
    "located",
    "interesting",
    "popular",
    "also",
    "important",
    "known",
    "many",
  ],
  ...["however", "great", "boasts", "rich", "vibrant", "nestled", "overall", "unique"],
];

const occurrences = (text: string, part: string): number =>
  text.toLowerCase().split(part.toLowerCase()).length - 1;

/** A bound that `count` keeps: at most a third away in the first grade, a fifteenth in the last. */
function beside(count: number, { draw, difficulty }: Pick<Reading, "draw" | "difficulty">) {
  const slack = Math.floor((count * draw.unit()) / (3 * difficulty));
  return draw.chance(0.5)
    ? { least: Math.max(1, count - slack), relation: "at least" }
    : { least: count + slack + 1, relation: "less than" };
}
