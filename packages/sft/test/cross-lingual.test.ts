// Area cross-lingual: who translates, answers and compares; what is dropped on the way; tasks of translating from parallel texts.
import { expect, it } from "vitest";
import type { ServedRequest } from "../../../tests/support/openai-server.js";
import { building } from "./support/building.js";

const { server, answering, at, write, lines, output, make } = building();

interface Row {
  readonly task: string;
  readonly language: string;
  readonly messages: readonly { readonly role: string; readonly content: string }[];
  readonly evidence: {
    readonly alignment?: number;
    readonly original?: object;
    readonly asked?: readonly { readonly role: string }[];
  };
}

const english = "Please explain to me in a few words why the sky looks blue during the day.";
const answer = "Because air scatters the blue part of sunlight far more than the red part of it.";
const german = "Erkläre mir bitte in wenigen Worten, warum der Himmel am Tag blau aussieht.";
const answers = [
  "Weil die Luft den blauen Anteil des Sonnenlichts viel stärker streut als den roten Anteil.",
  "Because the air scatters blue light more than it scatters red light, which is why.",
  "Das liegt an der Luft, die blaues Licht viel stärker in alle Richtungen streut als rotes Licht.",
  "Weil das Meer blau ist und sich den ganzen Tag über in dem Himmel darüber spiegelt.",
];

const kindOf = ({ messages }: ServedRequest): "translate" | "align" | "respond" => {
  const first = messages[0]!.content;
  if (first.includes("You translate instructions")) return "translate";
  return first.includes("You read both languages") ? "align" : "respond";
};
const asking = (seeds: string, more: object = {}) => ({
  ...{ area: "cross-lingual", base_url: server().baseUrl, model: "teacher", rows: 50, seeds: [seeds] },
  ...{ languages: ["de"], num_samples: 4, ...more },
});
const droppedBy = (steps: readonly { readonly step: string; readonly dropped: object }[]) =>
  Object.fromEntries(
    steps.filter(({ dropped }) => Object.keys(dropped).length > 0).map((one) => [one.step, one.dropped]),
  );

it("keeps the answer that agrees best with the original, in the language that was asked for", async () => {
  const name = output();
  let said = 0;
  answering((body) => {
    const asked = body.messages.at(-1)!.content;
    if (kindOf(body) === "translate") return german;
    if (kindOf(body) === "respond") return answers[said++]!;
    return `Well.\n**Alignment: ${asked.includes("Meer") ? 2 : asked.includes("Das liegt an") ? 5 : 4}**`;
  });
  const seeds = write("chats.jsonl", [
    {
      messages: [
        { role: "user", content: english },
        { role: "assistant", content: answer },
      ],
    },
    {
      messages: [
        { role: "user", content: german },
        { role: "assistant", content: answers[0] },
      ],
    },
    { instruction: "x", input: "", output: "" },
  ]);
  const report = await make({ ...asking(seeds), output: at(name) });
  const [row, ...others] = lines<Row>(name);
  expect(others).toEqual([]);
  expect(row).toMatchObject({
    ...{ task: "respond", language: "de" },
    messages: [
      { role: "user", content: german },
      { role: "assistant", content: answers[2] },
    ],
    evidence: { alignment: 5, original: { instruction: english, response: answer } },
  });
  expect(row!.evidence.asked!.map(({ role }) => role)).toEqual(["translator", "generator", "judge"]);
  expect(droppedBy(report.steps)).toEqual({
    read: { unreadable: 1 },
    choose: { in_this_language_already: 1 },
    respond: { answered_in_another_language: 1 },
    align: { not_aligned: 1 },
    best: { another_is_as_good: 1 },
  });
  // The answer was asked for in German alone: no system prompt, no frame.
  expect(server().bodies.filter((body) => kindOf(body) === "respond")[0]!.messages).toEqual([
    { role: "user", content: german },
  ]);
});

it("asks for the original answer where there is none, and drops what is no translation", async () => {
  const name = output();
  answering((body) => {
    const asked = body.messages.at(-1)!.content;
    if (kindOf(body) === "translate") {
      // Into Spanish it comes in German, too.
      return asked.includes("into French") ? english : german;
    }
    if (kindOf(body) === "align") return asked.includes(answer) ? "alignment: 4" : "who knows";
    return asked === english ? answer : answers[0]!;
  });
  const seeds = write("questions.jsonl", [{ prompt: english }]);
  const report = await make({
    ...asking(seeds, { languages: ["de", "fr", "es"], num_samples: 1 }),
    output: at(name),
  });
  expect(lines<Row>(name).map(({ language }) => language)).toEqual(["de"]);
  expect(lines<Row>(name)[0]!.evidence.original).toEqual({ instruction: english, response: answer });
  expect(droppedBy(report.steps)).toEqual({
    translate: { not_translated: 1, translated_into_another_language: 1 },
  });
  const strict = output();
  const none = await make({ ...asking(seeds, { min_alignment: 5, num_samples: 1 }), output: at(strict) });
  expect([none.rows, droppedBy(none.steps)]).toEqual([0, { align: { not_aligned: 1 } }]);
});

it("reads Self-Instruct's tasks with their inputs", async () => {
  const seeds = write("tasks.jsonl", [
    {
      ...{ id: "seed_task_1", instruction: english },
      instances: [
        { input: "Seen from Earth.", output: answer },
        { input: "", output: "On Mars it does not." },
      ],
    },
  ]);
  const asked: string[] = [];
  answering((body) => {
    asked.push(body.messages.at(-1)!.content);
    return "no";
  });
  await make({ ...asking(seeds), output: at(output()) });
  expect(asked.map((text) => text.split("\n\n").slice(1).join("\n\n"))).toEqual([
    `${english}\n\nSeen from Earth.`,
    english,
  ]);
});

it("makes tasks of translating from texts beside their translations, without anybody", async () => {
  const name = output();
  const seeds = write("flores.jsonl", [
    { id: 0, en: english, de: german },
    { id: 1, en: answer, de: answers[1], fr: "" },
    { id: 2, en: answer },
  ]);
  const report = await make({ area: "cross-lingual", seeds: [seeds], rows: 50, output: at(name) });
  const rows = lines<Row>(name);
  expect(rows.map(({ task, language }) => `${task} ${language}`)).toEqual(["translate en", "translate de"]);
  expect(rows[1]!.messages[0]!.content).toContain(english);
  expect(rows[1]!.messages[0]!.content).toContain("German");
  expect(rows[1]!.messages[1]!.content).toBe(german);
  expect(droppedBy(report.steps)).toEqual({ pair: { no_translation: 1 }, identify: { other_language: 2 } });
  const one = output();
  await make({ area: "cross-lingual", seeds: [seeds], rows: 50, languages: ["de"], output: at(one) });
  expect(lines<Row>(one).map(({ language }) => language)).toEqual(["de"]);
});

it("says what it needs", async () => {
  const seeds = write("questions.jsonl", [{ prompt: english }]);
  const bare = { area: "cross-lingual", seeds: [seeds], rows: 50 };
  await expect(make({ ...bare, output: at(output()) })).rejects.toThrow(/--languages zh,de,sw/);
  await expect(make({ ...bare, languages: ["deu"], output: at(output()) })).rejects.toThrow(
    /languages has "deu": expected of .*de/,
  );
  await expect(make({ ...bare, languages: ["de"], output: at(output()) })).rejects.toThrow(
    /A translator is asked here, and there is none/,
  );
});
