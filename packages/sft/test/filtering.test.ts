// Area filtering: who judges, what it takes to be kept, what goes to people.
import { existsSync, writeFileSync } from "node:fs";
import { expect, it } from "vitest";
import { json, type ServedRequest } from "../../../tests/support/openai-server.js";
import { isWholeBuild } from "../src/index.js";
import { building } from "./support/building.js";

const { server, answering, at, write, lines, output, make } = building();

interface Row {
  readonly messages: readonly { readonly role: string; readonly content: string }[];
  readonly reason?: string;
  readonly answer?: string;
  readonly parents: readonly string[];
  readonly evidence: { readonly scorers: readonly { readonly scorer: string; readonly verdict: string }[] };
}

const responseOf = ({ messages }: Row): string => messages.at(-1)!.content;
const votesOf = ({ evidence: { scorers } }: Row): string =>
  scorers.map(({ scorer, verdict }) => `${scorer} ${verdict}`).join(", ");

/** Which of the four reads, by how it is addressed. */
function readerOf({ messages }: ServedRequest): "critic" | "expert" | "editor" | "person" | undefined {
  const [, who] = /You are (?:a|an) (critic|expert|editor)/.exec(messages[0]!.content) ?? [];
  if (who !== undefined) return who as "critic";
  return messages[0]!.content.startsWith("You read responses as the person") ? "person" : undefined;
}

const asking = () => ({
  ...{ area: "filtering", base_url: server().baseUrl, model: "teacher", rows: 50 },
});
const chats = (...responses: readonly string[]) =>
  write(
    "chats.jsonl",
    responses.map((content) => ({
      messages: [
        { role: "user", content: "What is 2 + 3?" },
        { role: "assistant", content },
      ],
      ...(content !== "no verifier" && { answer: "5" }),
    })),
  );

it("keeps what everyone finds flawless, drops what nobody does, and leaves disagreements to people", async () => {
  const name = output();
  answering((body) => {
    const shown = body.messages.at(-1)!.content;
    const isFlawed =
      shown.includes("The answer is 6") || (shown.includes("hm") && readerOf(body) === "editor");
    return `I looked.\n**Verdict:** ${isFlawed ? "flawed" : "flawless"}`;
  });
  const report = await make({
    ...asking(),
    seeds: [
      chats(
        "The answer is 5.",
        "The answer is 6.",
        "hm. The answer is 5.",
        "Seven: \\boxed{7}",
        "no verifier",
      ),
    ],
    output: at(name),
  });
  expect(lines<Row>(name).map(responseOf)).toEqual(["The answer is 5.", "no verifier"]);
  const [first, second] = lines<Row>(name);
  expect(votesOf(first!)).toBe(
    "critic flawless, correctness flawless, instructions flawless, reader flawless, verifier flawless",
  );
  expect(votesOf(second!)).not.toContain("verifier");
  expect(first).toMatchObject({ area: "filtering", task: "given", answer: "5" });
  expect(report).toMatchObject({ rows: 2, review_file: `${at(name)}.progress/review.jsonl` });
  const toReview = lines<Row>(`${name}.progress/review.jsonl`);
  expect(toReview.map((row) => [responseOf(row), row.reason])).toEqual([
    ["hm. The answer is 5.", "disagreement"],
    ["Seven: \\boxed{7}", "disagreement"],
  ]);
  expect(votesOf(toReview[0]!)).toContain("instructions flawed");
  expect(votesOf(toReview[1]!)).toContain("verifier flawed");
  expect(report.steps.at(-1)!.dropped).toEqual({ flawed: 1, disagreement: 2 });
  // Nothing is paid for again.
  const asked = server().bodies.length;
  expect(asked).toBe(20);
  expect((await make({ ...asking(), seeds: [at("chats.jsonl")], output: at(name) })).end).toBe("nothing");
  expect(server().bodies).toHaveLength(asked);
});

it("asks again where there is no verdict, and takes no silence for approval", async () => {
  const name = output();
  let asked = 0;
  answering((body) => {
    if (readerOf(body) === "critic") return ++asked === 1 ? "Well, well." : "Verdict: flawless";
    if (readerOf(body) === "person") return "It is not flawless, and the verdict is mine.";
    return "Verdict: flawless";
  });
  const report = await make({ ...asking(), seeds: [chats("no verifier")], output: at(name) });
  expect([asked, report.rows, report.steps.at(-1)!.dropped]).toEqual([2, 0, { no_verdict: 1 }]);
  expect(votesOf(lines<Row>(`${name}.progress/review.jsonl`)[0]!)).toBe(
    "critic flawless, correctness flawless, instructions flawless, reader none",
  );
});

it("counts a reward model as one of them, asked once for each response", async () => {
  const [name, again] = [output(), output()];
  writeFileSync(at("reward.onnx"), "any bytes");
  let scored = 0;
  const withReward = (
    _: string,
    body: (score: (messages: readonly { content?: string | null }[]) => Promise<number | null>) => unknown,
  ) =>
    body(async (messages) => {
      scored++;
      const said = messages.at(-1)!.content!;
      return said.includes("long") ? null : said.includes("good") ? 1.5 : -1;
    }) as never;
  const options = {
    ...{ area: "filtering", rows: 50, reward_model_name_or_path: at("reward.onnx"), min_reward: 1 },
    seeds: [chats("good. \\boxed{5}", "bad. \\boxed{5}", "bad. \\boxed{6}", "long. \\boxed{5}")],
  };
  // Nobody is asked: the verifier and the reward model judge alone.
  const report = await make({ ...options, output: at(name) }, { withReward });
  expect(lines<Row>(name).map(responseOf)).toEqual(["good. \\boxed{5}"]);
  expect(report.steps.at(-1)!.dropped).toEqual({ disagreement: 1, flawed: 1, no_verdict: 1 });
  expect(scored).toBe(4);
  await expect(make({ ...options, min_reward: -2, output: at(name) }, { withReward })).rejects.toThrow(
    /min_reward was 1, is now -2/,
  );
  await make({ ...options, min_reward: -2, output: at(again) }, { withReward });
  expect(lines<Row>(again).map(responseOf)).toEqual(["good. \\boxed{5}", "bad. \\boxed{5}"]);
});

it("answers what waits for an answer, and judges each of several responses", async () => {
  const name = output();
  answering((body) => {
    if (readerOf(body) !== undefined) return "Verdict: flawless";
    return body.messages.at(-1)!.content === "Speak." ? `word ${Number(body["seed"]) % 2}` : "no";
  });
  const seeds = write("mixed.jsonl", [
    {
      messages: [
        { role: "user", content: "Call." },
        { role: "assistant", content: "", tool_calls: [{ function: { name: "f", arguments: "{}" } }] },
      ],
    },
    {
      messages: [
        { role: "system", content: "Be brief." },
        { role: "user", content: "Speak." },
      ],
    },
    { prompt: "Count.", responses: ["one", "two"] },
    {
      conversations: [
        { from: "human", value: "Hi" },
        { from: "gpt", value: "Hello" },
      ],
    },
    { input_ids: [1, 2], labels: [1, 2] },
  ]);
  const report = await make({ ...asking(), seeds: [seeds], output: at(name), num_samples: 6 });
  const rows = lines<Row>(name);
  expect(new Set(rows.map(responseOf))).toEqual(new Set(["word 0", "word 1", "one", "two", "Hello"]));
  expect(rows.find((row) => responseOf(row).startsWith("word"))!.messages[0]).toEqual({
    role: "system",
    content: "Be brief.",
  });
  expect(report.steps.find(({ step }) => step === "read")!.dropped).toEqual({
    ends_without_text: 1,
    unreadable: 1,
  });
  expect(report.tasks).toEqual({ generated: 2, given: 3 });
});

it("says what it could not ask, and asks for that alone", async () => {
  const name = output();
  const options = { ...asking(), seeds: [chats("no verifier")], output: at(name) };
  answering(() => "Verdict: flawless");
  server().answers = [json(500, {}), json(500, {})];
  const report = await make(options);
  expect([report.rows, report.unanswered, isWholeBuild(report)]).toEqual([0, 1, false]);
  server().reset();
  expect(await make(options)).toMatchObject({ rows: 1, unanswered: 0 });
  expect(server().bodies).toHaveLength(1);
  // Without anybody to judge there is nothing to be kept.
  const none = output();
  const alone = await make({ area: "filtering", seeds: options.seeds, output: at(none) });
  expect([alone.rows, alone.steps.at(-1)!.dropped]).toEqual([0, { nobody_judges: 1 }]);
  expect(existsSync(at(`${none}.progress/review.jsonl`))).toBe(false);
});
