// What a system prompt is composed of. A part says what it asks of the answers, so that a conversation is never put under a prompt that it breaks.
import type { ChatMessage } from "@posttrain/data";
import { detectLanguage } from "@posttrain/instructions";
import type { Draws } from "../draws.js";

/** What is looked at. */
export interface Spoken {
  /** Every answer. */
  readonly answers: readonly string[];
  /** Whether all of them are in the language of the user. */
  readonly keepsLanguage: () => boolean;
}

export function spokenIn(messages: readonly ChatMessage[]): Spoken {
  const texts = (role: string): string[] =>
    messages.flatMap((message) =>
      message.role === role && typeof message.content === "string" ? [message.content] : [],
    );
  const answers = texts("assistant");
  let keeps: boolean | undefined;
  return {
    answers,
    keepsLanguage: () => {
      if (keeps === undefined) {
        const own = detectLanguage(texts("user").join("\n"));
        keeps = own !== undefined && answers.every((answer) => detectLanguage(answer) === own);
      }
      return keeps;
    },
  };
}

export interface Part {
  /** A sentence. */
  readonly text: string;
  /** Whether the conversation follows it. Without it: nothing in a conversation speaks against it. */
  readonly holds?: Check;
}

type Check = (spoken: Spoken) => boolean;

const words = (text: string): number => text.split(/\s+/).filter((word) => word !== "").length;
const all =
  (test: (answer: string) => boolean) =>
  ({ answers }: Spoken): boolean =>
    answers.every(test);
const none = (pattern: RegExp): Check => all((answer) => !pattern.test(answer));
const some = (pattern: RegExp): Check => all((answer) => pattern.test(answer));

const names = [
  ...[
    "Ada",
    "Atlas",
    "Beacon",
    "Cedar",
    "Delta",
    "Ember",
    "Fable",
    "Harbor",
    "Iris",
    "Juno",
    "Kite",
    "Lumen",
  ],
  ...[
    "Maple",
    "Nova",
    "Orchid",
    "Pixel",
    "Quill",
    "River",
    "Sage",
    "Tango",
    "Umbra",
    "Vega",
    "Willow",
    "Zephyr",
  ],
];
const saysWhoItIs = none(/\b(?:I am|I'm|my name is|call me) (?:an? )?(?:[A-Z]\w+|AI|language model)/);

export function identity(draw: Draws): Part {
  const name = draw.pick(names);
  return draw.pick<Part>([
    { text: "You are a helpful assistant." },
    { text: "You are an AI assistant who answers questions and carries out tasks." },
    { text: "You help people with whatever they ask." },
    { text: "You are a knowledgeable assistant whom people trust." },
    { text: `You are ${name}, a helpful assistant.`, holds: saysWhoItIs },
    { text: `Your name is ${name}. You help people with their questions and tasks.`, holds: saysWhoItIs },
    { text: `You are ${name}, an assistant who takes care to get things right.`, holds: saysWhoItIs },
  ]);
}

const places = [
  ...["a web page", "an app on their phone", "a terminal", "a chat window", "a library's help desk"],
  ...["a school's learning platform", "the intranet of a company", "a public information service"],
];
const readers = [
  ...["people of any age and background", "readers who are new to the subject", "busy professionals"],
  ...["students and their teachers", "people whose first language may be another", "curious laypeople"],
];

export const setting = (draw: Draws): Part => ({
  text: draw.pick([
    `Users reach you through ${draw.pick(places)}.`,
    `You write for ${draw.pick(readers)}.`,
    `You are used in ${draw.pick(places)} by ${draw.pick(readers)}.`,
  ]),
});

export const traits: readonly Part[] = [
  { text: "Be accurate, and do not make things up." },
  { text: "Say so when you do not know something." },
  { text: "Be polite and patient." },
  { text: "Stay neutral and do not take sides." },
  { text: "Think before you answer." },
  { text: "Get to the point.", holds: all((answer) => words(answer) <= 250) },
  { text: "Be brief.", holds: all((answer) => words(answer) <= 80) },
  { text: "Be thorough: leave out nothing that matters.", holds: all((answer) => words(answer) >= 100) },
  {
    text: "Write simply, in short sentences.",
    holds: all((answer) => words(answer) / answer.split(/[.!?]+\s/).length <= 20),
  },
  {
    text: "Keep a formal tone.",
    holds: none(/!|\p{Extended_Pictographic}|\b(?:gonna|wanna|yeah|hey|lol)\b|\w'(?:s|re|ll|ve|d|m|t)\b/iu),
  },
  { text: "Keep a calm, matter-of-fact tone.", holds: none(/!|\p{Extended_Pictographic}/u) },
];

/** What can be checked to the letter. */
export function rules(draw: Draws): readonly Part[] {
  const limit = draw.pick([30, 50, 80, 100, 150, 200, 300, 400, 600]);
  const least = draw.pick([20, 40, 60, 100, 150]);
  const paragraphs = draw.int(2, 6);
  const paragraphsOf = (answer: string): number =>
    answer.split(/\n\s*\n/).filter((part) => part.trim() !== "").length;
  return [
    { text: `Use at most ${limit} words for an answer.`, holds: all((answer) => words(answer) <= limit) },
    { text: `Each answer has at least ${least} words.`, holds: all((answer) => words(answer) >= least) },
    {
      text: "Answer in a single paragraph.",
      holds: all((answer) => paragraphsOf(answer) === 1 && !/\n/.test(answer.trim())),
    },
    {
      text: `Use no more than ${paragraphs} paragraphs.`,
      holds: all((answer) => paragraphsOf(answer) <= paragraphs),
    },
    { text: "Do not use bullet points or numbered lists.", holds: none(/^\s*(?:[-*•]|\d+[.)])\s/m) },
    {
      text: "Put what can be listed into a list.",
      holds: some(/^\s*(?:[-*•]|\d+[.)])\s.*\n(?:.*\n)*?\s*(?:[-*•]|\d+[.)])\s/m),
    },
    { text: "Use no headings.", holds: none(/^#{1,6} /m) },
    {
      text: "Write plain text without Markdown.",
      holds: none(/^#{1,6} |\*\*|__|```|^\s*[-*] |\]\(|^\s*>|^\|/m),
    },
    { text: "Put code into fenced blocks that name their language.", holds: some(/```\w+\n/) },
    { text: "Do not use emoji.", holds: none(/\p{Extended_Pictographic}/u) },
    { text: "Do not use exclamation marks.", holds: none(/[!！]/) },
    { text: "Do not end with a question.", holds: none(/[?？]\s*$/) },
    {
      text: "Do not praise the question.",
      holds: none(
        /^\W*(?:(?:that's|what) )?an? (?:great|good|excellent|interesting) (?:question|idea)|^\W*(?:great|good|excellent) (?:question|idea)/i,
      ),
    },
    {
      text: 'Do not open with filler such as "Sure" or "Of course".',
      holds: none(/^\W*(?:sure|of course|certainly|absolutely|okay|ok)\b/i),
    },
    { text: "Do not speak of yourself.", holds: none(/\b(?:I|I'm|my|me|myself|as an AI)\b/) },
    { text: "Do not mention that you are an AI.", holds: none(/\b(?:AI|language model|chatbot)\b/i) },
    { text: "Give no links.", holds: none(/https?:\/\/|www\./i) },
    { text: "Do not apologize.", holds: none(/\b(?:sorry|apolog\w+)\b/i) },
    {
      text: 'End with a line "Answer: " and the answer.',
      holds: some(/(?:^|\n)Answer: \S[^\n]*\s*$/),
    },
    {
      text: "Answer in the language that the user writes in.",
      holds: ({ keepsLanguage }) => keepsLanguage(),
    },
  ];
}
