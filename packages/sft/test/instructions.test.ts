// Requests with instructions: what is asked, what follows it, and that nothing is said that the notes do not say.
import { checkInstructions, type InstructionRequest, instructionKinds } from "@posttrain/instructions";
import { expect, it } from "vitest";
import { building } from "./support/building.js";

const { at, lines, output, make } = building();

interface Row {
  readonly messages: readonly [{ readonly content: string }, { readonly content: string }];
  readonly difficulty: number;
  readonly instructions: readonly InstructionRequest[];
}

async function made(options: object): Promise<readonly Row[]> {
  const name = output();
  await make({ area: "instructions", output: at(name), ...options });
  return lines<Row>(name);
}

const numbersIn = (text: string): readonly string[] => text.match(/\d+/g) ?? [];

it("asks for as many of the 25 checks as the grade says, and is followed with the notes' own facts", async () => {
  const rows = await made({ rows: 400, seed: 3 });
  const seen = new Set<string>();
  for (const { messages, difficulty, instructions } of rows) {
    const [{ content: question }, { content: response }] = messages;
    expect(instructions).toHaveLength(difficulty);
    for (const { id, kwargs } of instructions) {
      seen.add(id);
      expect(question).toContain(instructionKinds.find((kind) => kind.id === id)!.describe(kwargs));
    }
    expect(await checkInstructions(response, instructions, "strict")).toMatchObject({ outcome: "pass" });
    // Numbers of sections and of what is asked for stand in the request as well.
    const request = [...numbersIn(question), "1", "2", "3", "4"];
    expect(numbersIn(response).filter((number) => !request.includes(number))).toEqual([]);
  }
  expect([...seen].sort()).toEqual(instructionKinds.map(({ id }) => id).sort());
  expect(new Set(rows.map(({ messages }) => messages[0].content)).size).toBe(400);
});

it("decides a question by the number that the notes have, or says that they have none", async () => {
  const rows = (await made({ rows: 900, seed: 5, difficulty: [1] })).filter(({ instructions }) =>
    instructions[0]!.id.endsWith("constrained_response"),
  );
  const found = rows.map(({ messages: [{ content }, response] }) => {
    const [, notes, question] = content.split("\n\n") as [string, string, string];
    const limit = Number(/\d+/.exec(question)![0]);
    const value = /(\d+)/.exec(response.content)?.[1];
    if (value === undefined) return ["maybe", /answer is (\w+)/.exec(response.content)![1]];
    expect(numbersIn(notes)).toContain(value);
    return [Number(value) > limit ? "yes" : "no", /answer is (\w+)/.exec(response.content)![1]];
  });
  expect(found.filter(([wanted, said]) => wanted !== said)).toEqual([]);
  expect([...new Set(found.map(([, said]) => said))].sort()).toEqual(["maybe", "no", "yes"]);
});

it("gives the same rows for the same seed, and others for another", async () => {
  const [one, same, other] = [
    await made({ rows: 20, seed: 1 }),
    await made({ rows: 20, seed: 1 }),
    await made({ rows: 20, seed: 2 }),
  ];
  expect(same).toEqual(one);
  expect(other).not.toEqual(one);
});
