/** Verifiers of instructions: IFEval's and open-instruct's kinds, and checker programs as AutoIF makes them. */
import { stringifyJson } from "@posttrain/data";
import { checkInstructions, type InstructionRequest } from "@posttrain/instructions";
import { judgeLanguages, judgeWith } from "@posttrain/sandbox";
import { z } from "zod";
import { dataOf, referenceValue } from "./references.js";
import { defineVerifier, type Row, type VerifierDefinition } from "./verifier.js";

const pairs = z.object({
  instruction_id_list: z.array(z.string()).min(1),
  kwargs: z.array(z.record(z.string(), z.unknown()).nullable()),
});

/** open-instruct's: a list of one such record, the old form a function with its parameters. */
const constraint = z.object({
  instruction_id: z.array(z.string()).min(1),
  kwargs: z.array(z.record(z.string(), z.unknown()).nullable()).optional(),
});
const functionCall = z.looseObject({ func_name: z.string() });

type Read = readonly InstructionRequest[] | string;

function together(ids: readonly string[], kwargs: readonly unknown[], where: string): Read {
  if (ids.length !== kwargs.length)
    return `${where} names ${ids.length} instructions and kwargs has ${kwargs.length} entries: expected as many`;
  return ids.map((id, i) => ({ id, kwargs: kwargs[i] }));
}

function fromColumns(row: Row): Read | undefined {
  if (row["instruction_id_list"] == null) return undefined;
  const ids = dataOf(row["instruction_id_list"]);
  const kwargs = dataOf(row["kwargs"]);
  const read = pairs.safeParse({ instruction_id_list: ids, kwargs: kwargs ?? undefined });
  if (read.success) return together(read.data.instruction_id_list, read.data.kwargs, "instruction_id_list");
  const { path, message } = read.error.issues[0]!;
  return `${path.join(".")}: ${message}`;
}

function fromReference(row: Row): Read | undefined {
  const found = referenceValue(row);
  if (found === undefined) return undefined;
  let data = dataOf(found.value);
  if (Array.isArray(data) && data.length === 1) data = dataOf(data[0]);
  const read = constraint.safeParse(data);
  if (read.success) {
    const { instruction_id: ids, kwargs = ids.map(() => null) } = read.data;
    return together(ids, kwargs, `${found.column}.instruction_id`);
  }
  const call = functionCall.safeParse(data);
  if (call.success) {
    const { func_name: id, ...kwargs } = call.data;
    return [{ id, kwargs: Object.fromEntries(Object.entries(kwargs).filter(([, value]) => value !== null)) }];
  }
  return `${found.column}: expected instruction_id and kwargs, or func_name and its parameters, came ${stringifyJson(found.value)?.slice(0, 80)}`;
}

const ifevalNeeds = z
  .custom<Row>((row) => typeof row === "object" && row !== null)
  .transform((row, context): readonly InstructionRequest[] => {
    const read =
      fromColumns(row) ??
      fromReference(row) ??
      "it has no instructions: expected instruction_id_list and kwargs, or a ground_truth with instruction_id";
    if (typeof read !== "string") return read;
    context.addIssue({ code: "custom", message: read });
    return z.NEVER;
  });

const ifeval = defineVerifier({
  name: "ifeval",
  judges: "instructions",
  needs: ifevalNeeds,
  grade: (response, requests, { strictness = "strict" }) => checkInstructions(response, requests, strictness),
});

const instructions = defineVerifier({
  name: "instructions",
  judges: "instructions",
  needs: z.object({
    instructions: z
      .array(z.object({ id: z.string(), kwargs: z.record(z.string(), z.unknown()).nullish() }))
      .min(1),
  }),
  grade: (response, needs, { strictness = "strict" }) =>
    checkInstructions(response, needs.instructions, strictness),
});

const checker = defineVerifier({
  name: "checker",
  judges: "instructions",
  needs: z.object({
    checker: z.object({
      language: z.enum(judgeLanguages),
      source: z.string().min(1),
      entryPoint: z.string().default("evaluate"),
    }),
  }),
  grade: (response, needs, _settings, { sandbox }) => judgeWith(needs.checker, [response], sandbox),
});

export const instructionVerifiers: readonly VerifierDefinition[] = [ifeval, instructions, checker];
