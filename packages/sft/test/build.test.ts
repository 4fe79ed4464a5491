// What every area goes through: roles that are asked and counted, prompts of files, steps with what they drop, runs that go on.
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { json } from "../../../tests/support/openai-server.js";
import { drop, keep } from "../src/builders/outcome.js";
import { openSteps } from "../src/builders/steps.js";
import { isWholeBuild } from "../src/index.js";
import { building, says } from "./support/building.js";

const { server, at, write, lines: linesOf, output, make } = building();

interface Written {
  readonly step: string;
  readonly reason: string;
  readonly evidence: { readonly asked: readonly object[] };
}

const lines = (name: string): readonly Written[] => linesOf(name);

const solving = (name: string, more: object = {}) => ({
  ...{
    area: "mathematics",
    seeds: [sums()],
    base_url: server().baseUrl,
    model: "teacher",
    rows: 10,
    output: at(name),
  },
  num_samples: 2,
  ...more,
});
const sums = () =>
  write("sums.jsonl", [
    { question: "What is 2 + 3?", answer: "5" },
    { question: "What is 10 / 4?", answer: "#### 2.5" },
    { note: "asks nothing" },
  ]);

it("keeps right solutions that go different ways, and counts and shows all else", async () => {
  const name = output();
  server().answers = [
    says("2 + 3 = 5. \\boxed{5}"),
    says("So 2+3 = 5, which is it: \\boxed{5}"),
    says("3 + 2 = 5, hence \\boxed{5}"),
    says("I say \\boxed{6}"),
    ...[
      says("10 / 4 = 2.5, \\boxed{\\frac{5}{2}}"),
      says("10 / 4 is", "length"),
      says("<think>hm"),
      says("no idea"),
    ],
  ];
  const report = await make(solving(name, { num_samples: 4 }));
  expect(report).toMatchObject({ end: "used up", rows: 3, unanswered: 0, tasks: { solve: 3 } });
  const dropped = Object.fromEntries(report.steps.map((step) => [step.step, step.dropped]));
  expect(dropped).toEqual({
    read: { asks_nothing: 1 },
    solve: { cut_off: 1, unended_thinking: 1 },
    check: { wrong_answer: 1, unparseable: 1 },
    diversity: { same_way: 1 },
  });
  expect(lines(`${name}.progress/dropped.jsonl`).map(({ step, reason }) => `${step} ${reason}`)).toEqual([
    "check wrong_answer",
    ...["solve cut_off", "solve unended_thinking", "check unparseable", "read asks_nothing"],
  ]);
  const [first] = lines(name);
  expect(first).toMatchObject({
    ...{ schema: "conversation@1", area: "mathematics", task: "solve" },
    messages: [
      { role: "user", content: "What is 2 + 3?" },
      { role: "assistant", content: "2 + 3 = 5. \\boxed{5}" },
    ],
    parents: [expect.stringMatching(/^[0-9a-f]{64}$/)],
    evidence: {
      asked: [
        {
          role: "generator",
          model: "teacher",
          prompt: "mathematics-solve",
          version: 1,
          digest: expect.stringMatching(/^[0-9a-f]{64}$/),
          sample: 0,
        },
      ],
      verdict: { outcome: "pass", verifier: "math" },
    },
  });
  expect(report.asked["generator"]).toMatchObject({ asked: 8, cached: 0, promptTokens: 80 });
  expect(
    new Set(
      server()
        .bodies.slice(0, 4)
        .map(({ seed }) => seed),
    ).size,
  ).toBe(4);
});

it("counts requests without a reply, and the same command asks for these alone", async () => {
  const name = output();
  const right = says("2 + 3 = 5, \\boxed{5}");
  server().answers = [
    right,
    json(500, {}),
    json(500, {}),
    json(200, { rubbish: true }),
    json(200, [1]),
    says("10 / 4 = 2.5 \\boxed{2.5}"),
  ];
  const report = await make(solving(name));
  expect(report).toMatchObject({ rows: 2, unanswered: 2 });
  expect(isWholeBuild(report)).toBe(false);
  expect(report.reasons.join()).toMatch(/500.*no chat completion/);
  server().reset();
  server().answers = [says("3 + 2 = 5 \\boxed{5}"), says("5 / 2 = 2.5 \\boxed{2.5}")];
  const again = await make(solving(name));
  expect(server().bodies).toHaveLength(2);
  expect(again).toMatchObject({ rows: 4, unanswered: 0 });
  expect(await make(solving(name))).toMatchObject({ end: "nothing", rows: 4 });
  expect(server().bodies).toHaveLength(2);
  await expect(make(solving(name, { temperature: 0.1 }))).rejects.toThrow(/temperature was 0.7, is now 0.1/);
});

it("ends when its budget is spent or it is told to, and pays for nothing twice", async () => {
  const name = output();
  server().answers = [says("2 + 3 = 5 \\boxed{5}"), says("3 + 2 = 5 \\boxed{5}")];
  await expect(make(solving(name, { budget_tokens: 30 }))).rejects.toMatchObject({ code: "budget_spent" });
  expect(existsSync(at(name))).toBe(false);
  const stop = new AbortController();
  server().answers = [
    (body, response) => {
      stop.abort();
      says("10 / 4 = 2.5 \\boxed{2.5}")(body, response);
    },
  ];
  await expect(make(solving(name), { signal: stop.signal })).rejects.toThrow();
  const asked = server().bodies.length;
  server().answers = [says("10 / 4 = 2.5 \\boxed{2.5}"), says("5 / 2 = 2.5 \\boxed{2.5}")];
  expect(await make(solving(name))).toMatchObject({ rows: 4 });
  // At most the one that was under way when it was stopped came again.
  expect(asked).toBe(3);
  expect(server().bodies.length).toBeLessThanOrEqual(asked + 2);
  const undisturbed = output();
  server().answers = ["2 + 3 = 5", "3 + 2 = 5", "10 / 4 = 2.5", "5 / 2 = 2.5"].map((way) =>
    says(`${way} \\boxed{${way.split("= ")[1]}}`),
  );
  await make(solving(undisturbed));
  expect(readFileSync(at(undisturbed), "utf8")).toBe(readFileSync(at(name), "utf8"));
});

it("asks what a user's own prompt file says, and refuses files that are none", async () => {
  const prompts = at("prompts");
  mkdirSync(prompts);
  const own = (text: string): void => writeFileSync(join(prompts, "mathematics-solve.md"), text);
  own("version: 7\n\n# user\nLöse: {{problem}} {{problem}}\n");
  server().answers = [says("2 + 3 = 5 \\boxed{5}"), says("no"), says("no"), says("no")];
  const name = output();
  await make(solving(name, { prompts }));
  expect(server().bodies[0]!.messages).toEqual([
    { role: "user", content: "Löse: What is 2 + 3? What is 2 + 3?" },
  ]);
  expect(lines(name)[0]!.evidence.asked[0]).toMatchObject({ version: 7 });
  for (const [text, message] of [
    ["# user\n{{problem}}", /does not begin with its version/],
    ["version: 1\n# user\nSolve it.", /does not have \{\{problem\}\}/],
    ["version: 1\n# user\n{{problem}} {{answer}}", /has \{\{answer\}\}: it is given \{\{problem\}\}/],
    ["version: 1\n# user\n{{problem}}\n# user\nonce more", /expected one part "# user"/],
  ] as const) {
    own(text);
    await expect(make(solving(output(), { prompts }))).rejects.toThrow(message);
  }
  rmSync(join(prompts, "mathematics-solve.md"));
  writeFileSync(join(prompts, "solve.md"), "version: 1\n# user\nhi");
  await expect(make(solving(output(), { prompts }))).rejects.toThrow(
    /replaces no prompt: those of the builders are .*mathematics-solve/,
  );
});

it("says what an area needs", async () => {
  await expect(make({ area: "mathematics", output: at(output()), tasks: ["solve"] })).rejects.toThrow(
    /--seeds/,
  );
  await expect(make({ area: "mathematics", output: at(output()), seeds: [sums()] })).rejects.toThrow(
    /A generator is asked here, and there is none.*--base_url/,
  );
  await expect(make({ area: "logic", output: at(output()), seeds: [sums()] })).rejects.toThrow(
    /A generator is asked here/,
  );
  await expect(make({ area: "logic", output: at(output()), tasks: ["chess"] })).rejects.toThrow(
    /those of logic are deductive/,
  );
});

it("takes items in order with several under way, and no more of them than are asked for", async () => {
  let open = 0;
  let most = 0;
  const steps = openSteps({ onDropped: async () => undefined });
  const numbers = (function* () {
    for (let i = 0; ; i++) yield i;
  })();
  const work = async (i: number) => {
    most = Math.max(most, ++open);
    await new Promise((resolve) => setTimeout(resolve, i % 3));
    open--;
    return i % 2 === 0 ? keep(i, i) : drop("odd");
  };
  const taken: number[] = [];
  for await (const item of steps.step("halve", numbers, work, 4)) if (taken.push(item) === 6) break;
  expect(taken).toEqual([0, 0, 2, 2, 4, 4]);
  expect(most).toBe(4);
  expect(steps.counts()).toEqual([{ step: "halve", taken: 5, kept: 6, dropped: { odd: 2 }, unanswered: 0 }]);
  expect(numbers.next().done).toBe(true);
});

it("ends where a source only repeats itself", async () => {
  const steps = openSteps({ onDropped: async () => undefined });
  const few = (function* () {
    for (let i = 0; ; i++) yield i % 3;
  })();
  const taken: number[] = [];
  for await (const item of steps.distinct(few, String)) taken.push(item);
  expect(taken).toEqual([0, 1, 2]);
  expect(steps.counts()[0]!.dropped["repeat"]).toBe(10_000);
});
