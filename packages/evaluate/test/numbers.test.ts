/** Numbers of a question's row, from the file to the grade and into the samples file. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openVerifiers } from "@posttrain/verify";
import { afterAll, expect, test } from "vitest";
import { evaluateConfig, readQuestions, summarize, verifierGrader, writeResults } from "../src/index.js";

const dir = mkdtempSync(join(tmpdir(), "numbers-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

async function questionsOf(...lines: readonly string[]) {
  const path = join(dir, "questions.jsonl");
  writeFileSync(path, `${lines.join("\n")}\n`);
  return readQuestions(path);
}

const ROW =
  '{"id":12345678901234567890,"question":"9007199254740992 + 1?","answer":9007199254740993,"w":[1.0,1e-06,1E16,1e400,-0,0.00001,0.5,"é"]}';

test("an answer beyond 2^53 is its digits; one that Python wrote as a float is the number", async () => {
  const [big, float, fraction, many] = await questionsOf(
    ROW,
    '{"question": "?", "answer": 72.0}',
    '{"question": "?", "answer": 2.50}',
    '{"question": "?", "answer": 0.12345678901234567891}',
  );
  expect([big, float, fraction, many].map((question) => question!.answer)).toEqual([
    "9007199254740993",
    "72",
    "2.5",
    "0.12345678901234567891",
  ]);
  await using exactMatch = openVerifiers({ concurrency: 1, verifier: "exact_match" });
  await using verifiers = openVerifiers({ concurrency: 1 });
  const graders = [verifierGrader(exactMatch), verifierGrader(verifiers)];
  for (const grade of graders) {
    const outcome = async (question: typeof big, text: string) =>
      (await grade(question!, { text, finish: "stop" })).outcome;
    expect(await outcome(big, "\\boxed{9007199254740993}")).toBe("pass");
    expect(await outcome(big, "\\boxed{9007199254740992}")).toBe("fail");
    expect(await outcome(float, "\\boxed{72}")).toBe("pass");
  }
});

test("the samples file has the row as it came, and the hash that Python makes of it", async () => {
  const questions = await questionsOf(ROW);
  const verdict = { outcome: "pass", evidence: "" } as const;
  const graded = [{ prompt: "?", text: "9007199254740993", finish: "stop", verdict } as const];
  const paths = await writeResults(dir, {
    config: evaluateConfig.parse({ model_name_or_path: "m", data: "questions.jsonl" }),
    task: "numbers",
    version: 1,
    questions,
    answered: graded.map((one) => ({ samples: [one] })) as never,
    filter: "auto",
    summary: summarize("numbers", questions, graded as never),
    started: new Date(0),
    ended: new Date(1000),
    modelDigest: "0",
  });
  const samples = readFileSync(paths.samples, "utf8");
  expect(samples).toContain(`"doc":${ROW},"target":"9007199254740993"`);
  // python3: sha256(json.dumps(json.loads(ROW), indent=2, ensure_ascii=False).encode()).hexdigest()
  expect(samples).toContain('"doc_hash":"3849bbd725be984a6f49ed33b6c6b429f5c39f9d6fd00440f733f5a0eba657d3"');
});
