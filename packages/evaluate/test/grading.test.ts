// What of a response a verifier grades in an evaluation: nothing of one that never ended, where it judges answers, and no thinking.
import type { ExactMatchExtraction } from "@posttrain/answers";
import { openVerifiers, type Verifiers } from "@posttrain/verify";
import { expect, test } from "vitest";
import { verifierGrader } from "../src/index.js";

const exactMatch = (extract: ExactMatchExtraction): Verifiers =>
  openVerifiers({ concurrency: 1, verifier: "exact_match", extract });

test("a response that never ended is not right, and one without an answer is told apart from a wrong one", async () => {
  await using verifiers = exactMatch("auto");
  const grade = verifierGrader(verifiers);
  const outcome = async (text: string, finish: "stop" | "length") =>
    (await grade({ answer: "72" }, { text, finish })).outcome;
  expect(await outcome("#### 72", "stop")).toBe("pass");
  expect(await outcome("#### 72", "length")).toBe("unparseable");
  expect(await outcome("#### 71", "stop")).toBe("fail");
  expect(await outcome("no idea", "stop")).toBe("unparseable");
});

test.each<ExactMatchExtraction>(["auto", "boxed", "hash", "answer", "last_number", "whole"])(
  "%s: what stands in thinking is not graded",
  async (extraction) => {
    const marks = {
      auto: "72",
      boxed: "\\boxed{72}",
      hash: "#### 72",
      answer: "Answer: 72",
      last_number: "72",
      whole: "72",
    };
    const answer = marks[extraction];
    await using verifiers = exactMatch(extraction);
    const grade = verifierGrader(verifiers);
    const outcome = async (text: string) => (await grade({ answer: "72" }, { text, finish: "stop" })).outcome;
    expect(await outcome(`<think>\n#### 5 or \\boxed{6}\n</think>\n${answer}`)).toBe("pass");
    expect(await outcome(`<think>${answer}</think>`)).toBe("unparseable");
    expect(await outcome(`<think>\n${answer}`)).toBe("unparseable");
    expect(await outcome(`${answer}\n</think>no idea`)).not.toBe("pass");
  },
);

test("programs and instructions are judged by what is there when a response never ended; answers and one's own are not", async () => {
  const outcome = async (verifier: Parameters<typeof openVerifiers>[0], doc: Record<string, unknown>) => {
    await using verifiers = openVerifiers({ concurrency: 1, route: "wasm", ...verifier });
    const cut = { text: "a sea", finish: "length" } as const;
    return (await verifierGrader(verifiers)({ answer: "", doc }, cut)).outcome;
  };
  const kwargs = [{ keywords: ["sea"] }];
  expect(await outcome({}, { instruction_id_list: ["keywords:existence"], kwargs })).toBe("pass");
  const source = "function evaluate(response) { return response.includes('sea'); }";
  expect(await outcome({}, { checker: { language: "javascript", source } })).toBe("pass");
  expect(await outcome({}, { verifier: "exact", answer: "a sea" })).toBe("unparseable");
  const own = (judges: "response" | "program") =>
    ({ name: "own", judges, grade: async () => ({ outcome: "pass", evidence: "" }) as const }) as const;
  expect(await outcome({ verifier: own("response") }, {})).toBe("unparseable");
  expect(await outcome({ verifier: own("program") }, {})).toBe("pass");
});
