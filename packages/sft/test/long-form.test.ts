// Long texts: pieces and lengths, and both ways to answers, behind a server that also answers badly.
import { readFileSync } from "node:fs";
import { checkInstructions } from "@posttrain/instructions";
import { expect, it } from "vitest";
import { createDraws } from "../src/builders/draws.js";
import { inWords, lengthConstraint, lengthOf, mostBytes } from "../src/builders/long-form/length.js";
import { paragraphsOf, partsOf, piecesOf } from "../src/builders/long-form/pieces.js";
import { building, byPrompt } from "./support/building.js";
import { verify } from "./support/verify-rows.js";

const { server, answering, at, write, lines, output, make } = building();
const teach = (teacher: Parameters<typeof byPrompt>[0]): void => answering(byPrompt(teacher));

interface Row {
  readonly task: string;
  readonly difficulty: number;
  readonly messages: readonly [{ readonly content: string }, { readonly content: string }];
  readonly evidence: {
    readonly length: { readonly count: number };
    readonly score: number;
    readonly rounds?: readonly number[];
  };
}

const document = JSON.parse(
  readFileSync(new URL("fixtures/long-document.jsonl", import.meta.url), "utf8").split("\n")[0]!,
) as { readonly text: string };

it("asks for lengths that a text has", async () => {
  for (let index = 0; index < 300; index++) {
    const draw = createDraws(3, "long-form", index);
    const count = draw.int(40, 6000);
    const text = "word ".repeat(count).trim();
    const length = lengthOf(text);
    expect(length).toEqual({ count, unit: "words" });
    const { text: asked, instructions } = lengthConstraint(length, draw);
    const [first, second] = [...asked.matchAll(/\d[\d,]*/g)].map(([number]) =>
      Number(number.replaceAll(",", "")),
    );
    expect(await checkInstructions(text, instructions, "strict")).toMatchObject({ outcome: "pass" });
    if (asked.includes("about")) expect(Math.abs(first! - count)).toBeLessThanOrEqual(count / 8);
    else if (asked.includes("least")) expect(first).toBeLessThanOrEqual(count);
    else if (asked.includes("no more")) expect(first).toBeGreaterThanOrEqual(count);
    else expect([first! <= count, count <= second!]).toEqual([true, true]);
  }
  expect(lengthOf("他补充道，我们现在有四个月大没有糖尿病的老鼠。")).toEqual({
    count: 21,
    unit: "characters",
  });
});

it("cuts a book into pieces of whole paragraphs, and an answer into parts that are all of it", () => {
  const { text } = document;
  const pieces = piecesOf(text, () => 200);
  expect(pieces.length).toBeGreaterThan(1);
  const paragraphs = paragraphsOf(text);
  for (const piece of pieces) {
    expect(paragraphsOf(piece).every((one) => paragraphs.includes(one))).toBe(true);
    expect(piece).not.toMatch(/^#|\n#{1,6} [^\n]*$|\r/);
    const words = inWords(lengthOf(piece));
    expect([words >= 180, words <= 300]).toEqual([true, true]);
    const parts = partsOf(piece, 100);
    expect(parts.length).toBeGreaterThan(1);
    expect(parts.join(" ").replaceAll(/\s+/g, " ")).toBe(piece.replaceAll(/\s+/g, " "));
  }
  // Nothing is in two pieces.
  const seen = pieces.flatMap(paragraphsOf).filter((one) => one.length > 80);
  expect(new Set(seen).size).toBe(seen.length);
  expect(partsOf("One sentence is here. Another is there! A third?", 500)).toHaveLength(2);
  expect(piecesOf("word ".repeat(9000), () => 5000)).toEqual([]);
  expect(Buffer.byteLength("word ".repeat(9000))).toBeGreaterThan(mostBytes);
});

it("makes a book's pieces answers to what they would have been asked, and drops what the critic finds poor", async () => {
  teach((prompt) => {
    if (prompt.includes("Somebody asked for a long text"))
      return prompt.includes("sergeant") ? "Write a story about a man on a bridge." : "NONE";
    return prompt.includes("sergeant") && !prompt.includes("watch")
      ? "Fine.\nScore: 8"
      : "It breaks off.\nScore: 5";
  });
  const seeds = write("books.jsonl", [document, { text: "Too short." }, { title: "no text" }]);
  const name = output();
  const report = await make({
    ...{ area: "long-form", seeds: [seeds], tasks: ["back-translated"], difficulty: [1], output: at(name) },
    ...{ base_url: server().baseUrl, model: "teacher" },
  });
  const steps = Object.fromEntries(report.steps.map((step) => [step.step, step]));
  expect(steps["cut"]!.dropped).toEqual({ too_short: 1, no_text: 1 });
  expect(steps["back-translate"]!.dropped["no_query"]).toBeGreaterThan(0);
  const rows = lines<Row>(name);
  expect(rows.length).toBeGreaterThan(0);
  for (const { messages } of rows) {
    expect(messages[0].content).toMatch(/^Write a story about a man on a bridge\.\n\n.*\d/);
    expect(document.text.replaceAll("\r\n", "\n")).toContain(paragraphsOf(messages[1].content)[0]);
    expect(messages[1].content).toContain("sergeant");
  }
  expect(await verify(rows)).toEqual({ pass: rows.length });
});

const draw = createDraws(1, "prose", 0);
const syllables = "ba do fi ga ha ki lo mu ne po ra si ta ve wo zu".split(" ");

/** Sentences of words that nobody has used before. */
function prose(words: number): string {
  const word = (): string => Array.from({ length: 4 }, () => draw.pick(syllables)).join("");
  const sentence = (): string => `Then ${Array.from({ length: 9 }, word).join(" ")}.`;
  return Array.from({ length: Math.ceil(words / 10) }, sentence).join(" ");
}

it("extends answers round by round until they are long enough; those that shrink or repeat themselves go", async () => {
  teach((prompt) => {
    const part = /\[The part that you write anew\]\n([\s\S]*?)\n\nWrite this part anew/.exec(prompt)?.[1];
    if (prompt.includes("whole number from 1")) return "Score: 9";
    if (part === undefined) return prose(60);
    if (prompt.includes("a bridge")) return "Shorter.";
    if (prompt.includes("a tower")) return "The tower is high and the tower is old. ".repeat(40);
    return `${part} ${prose(part.split(" ").length)}`;
  });
  const seeds = write(
    "asked.jsonl",
    ["a harbor", "a bridge", "a tower"].map((about) => ({ prompt: `Tell me of ${about}.` })),
  );
  const name = output();
  const options = {
    ...{ area: "long-form", seeds: [seeds], tasks: ["extended"], difficulty: [1], output: at(name) },
    ...{ base_url: server().baseUrl, model: "teacher" },
  };
  const report = await make(options);
  expect(Object.fromEntries(report.steps.map(({ step, dropped }) => [step, dropped]))).toMatchObject({
    extend: { too_short: 1 },
    faults: { repetition: 1 },
  });
  const [row, ...others] = lines<Row>(name);
  expect(others).toEqual([]);
  expect(row!.messages[0].content).toContain("Tell me of a harbor.");
  const { rounds } = row!.evidence;
  expect(rounds!.length).toBeGreaterThan(2);
  expect(rounds).toEqual([...rounds!].sort((a, b) => a - b));
  expect(rounds!.at(-1)).toBeGreaterThanOrEqual(270);
  expect(await verify([row!])).toEqual({ pass: 1 });
});
