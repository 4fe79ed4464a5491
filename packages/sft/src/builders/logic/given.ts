// Questions of reasoning with known answers, as ProntoQA, LogicalDeduction and FOLIO have them.
import { askedByRow, UserError } from "@posttrain/data";
import type { Draft, Making } from "../area.js";
import { drop, keep } from "../outcome.js";

const text = (value: unknown): string | undefined =>
  typeof value === "string" && value.trim() !== "" ? value.trim() : undefined;
const texts = (value: unknown): readonly string[] =>
  Array.isArray(value) ? value.flatMap((one) => text(one) ?? []) : [];

/** Without a response yet. */
export const given = ({ seeds, step }: Making): AsyncGenerator<Draft, void, undefined> =>
  step("read", seeds(), ({ row, place, id }) => {
    const options = texts(row["options"] ?? row["choices"]);
    const answer = text(row["answer"]) ?? text(row["label"]);
    if (answer === undefined) return drop("no_answer", place);
    const premises = texts(row["premises"]).join("\n") || text(row["premises"]);
    const conclusion = text(row["conclusion"]);
    let asked: string;
    if (premises !== undefined && conclusion !== undefined) {
      asked = `${premises}\n\nConclusion: ${conclusion}\n\nDoes the conclusion follow? Answer True if it does, False if it contradicts the premises, Uncertain if neither.`;
    } else {
      try {
        const found = askedByRow(row, place);
        if ("problem" in found || found.kind !== "text") return drop("no_single_question", place);
        asked = [text(row["context"]), found.text].filter((part) => part !== undefined).join("\n\n");
      } catch (error) {
        if (!(error instanceof UserError)) throw error;
        return drop("unreadable", { ...place, why: error.message });
      }
    }
    const question = [asked, ...options.map((option, i) => lettered(option, i))].join("\n");
    const ending = `Reason step by step. The last line is "Answer: " with ${options.length > 0 ? "the letter of the right option" : "the answer alone"}.`;
    return keep({
      task: "given",
      messages: [{ role: "user", content: `${question}\n\n${ending}` }],
      columns: { answer },
      evidence: { solver: "annotated" },
      parents: [id],
    } satisfies Draft);
  });

const lettered = (option: string, i: number): string =>
  /^\(?[A-Z][.)]/.test(option) ? option : `${String.fromCharCode(65 + i)}) ${option}`;
