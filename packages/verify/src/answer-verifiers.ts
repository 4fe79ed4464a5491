/** Verifiers of answers: mathematics, choices, words, and open-instruct's rules by their names. */

import type { AnswerOptions } from "@posttrain/answers";
import { exactMatch, normaliseText, openInstructScorers, tokenF1 } from "@posttrain/answers";
import type { Verdict } from "@posttrain/data";
import { asDouble, isJsonNumber, stringifyJson } from "@posttrain/data";
import { z } from "zod";
import { dataOf, finalAnswer, plainReferences, references, referenceValue } from "./references.js";
import {
  defineVerifier,
  type Row,
  scored,
  type VerifierDefinition,
  type VerifierSettings,
} from "./verifier.js";

function answerOptions(settings: VerifierSettings): AnswerOptions {
  const { mode, extraction, tolerance, minimum_f1: minimumF1 } = settings;
  return {
    ...(mode !== undefined && mode !== "open-instruct" && { mode }),
    ...(extraction !== undefined && { extraction }),
    ...(tolerance !== undefined && {
      tolerance: {
        ...(tolerance.absolute !== undefined && { absolute: tolerance.absolute }),
        ...(tolerance.relative !== undefined && { relative: tolerance.relative }),
      },
    }),
    ...(minimumF1 !== undefined && { minimumF1 }),
  };
}

const inOpenInstruct = (
  name: "math" | "gsm8k",
  response: string,
  labels: readonly string[],
  settings: VerifierSettings,
): Verdict => {
  const scores = labels.map((label) => openInstructScorers[name]!(response, label));
  return scored(Math.max(...scores), settings.pass_score ?? 1, `open-instruct's ${name}`);
};

const math = defineVerifier({
  name: "math",
  judges: "answer",
  needs: references,
  grade: async (response, labels, settings, tools) => {
    if (settings.mode === "open-instruct")
      return inOpenInstruct("math", response, labels.map(finalAnswer), settings);
    return tools.answers.grade({
      reference: labels.map(finalAnswer),
      response,
      options: answerOptions(settings),
    });
  },
});

const gsm8k = defineVerifier({
  name: "gsm8k",
  judges: "answer",
  needs: references,
  grade: async (response, labels, settings, tools) => {
    const reference = labels.map(finalAnswer);
    if (settings.mode === "open-instruct") return inOpenInstruct("gsm8k", response, reference, settings);
    const verdict = await tools.answers.grade({ reference, response, options: answerOptions(settings) });
    const isOwn = (settings.mode ?? "own") === "own";
    // A line behind #### is read already, and refused where two answers stand there.
    const isRead = verdict.details?.["extracted"] !== undefined || response.includes("####");
    if (!isOwn || verdict.outcome !== "unparseable" || isRead) return verdict;
    // GSM8K's published solutions end in "A: 18", which announces an answer nowhere else.
    return tools.answers.grade({ reference, response, options: { mode: "gsm8k" } });
  },
});

const exactMatchVerifier = defineVerifier({
  name: "exact_match",
  judges: "answer",
  needs: plainReferences,
  grade: async (response, labels, { extract = "auto" }) => exactMatch(labels, response, extract),
});

const letters = "ABCDEFGHIJ";

/** The right letter, and the words beside it where no letter could be meant by them. */
const choice = z
  .custom<Row>((row) => typeof row === "object" && row !== null)
  .transform((row, context): readonly string[] => {
    const refuse = (message: string): typeof z.NEVER => {
      context.addIssue({ code: "custom", message });
      return z.NEVER;
    };
    const found = referenceValue(row);
    if (found === undefined) return refuse("it has no reference: expected answer or ground_truth");
    const { value, column } = found;
    const options = choicesOf(row);
    const came = `came ${stringifyJson(value)?.slice(0, 80)}`;
    if (isJsonNumber(value)) {
      const place = asDouble(value);
      const letter = Number.isInteger(place) ? letters[place as number] : undefined;
      if (options !== undefined && !((place as number) < options.length))
        return refuse(`${column}: expected the place of a choice, from 0 to ${options.length - 1}, ${came}`);
      return letter === undefined
        ? refuse(`${column}: expected a whole number from 0 to 9, ${came}`)
        : answersOf(letter, options);
    }
    if (typeof value !== "string") return refuse(`${column}: expected a letter or a place, ${came}`);
    const letter = /^\s*\(?([A-Ja-j])\)?[.:]?\s*$/.exec(value)?.[1]?.toUpperCase();
    if (letter !== undefined) return answersOf(letter, options);
    const place = options?.findIndex((option) => option.trim() === value.trim()) ?? -1;
    if (place < 0) return refuse(`${column}: expected a letter from A to J or one of the choices, ${came}`);
    return answersOf(letters[place] ?? value, options);
  });

function choicesOf(row: Row): readonly string[] | undefined {
  const value = row["choices"] ?? row["options"];
  const list = Array.isArray(value) ? value : (value as { text?: unknown } | undefined | null)?.text;
  return Array.isArray(list) && list.every((item) => typeof item === "string") ? list : undefined;
}

function answersOf(letter: string, options: readonly string[] | undefined): readonly string[] {
  const words = options?.[letters.indexOf(letter)]?.trim() ?? "";
  const lettered = words.replace(/^\(?([A-J])[).:]\s+/, "");
  return /^.?$/u.test(lettered) && !/\d/.test(lettered) ? [letter] : [letter, lettered];
}

const multipleChoice = defineVerifier({
  name: "multiple_choice",
  judges: "answer",
  needs: choice,
  grade: (response, reference, settings, tools) =>
    tools.answers.grade({
      reference,
      response,
      options: {
        ...answerOptions({ ...settings, mode: undefined }),
        expect: "letter",
      },
    }),
});

const exact = defineVerifier({
  name: "exact",
  judges: "answer",
  needs: references,
  grade: async (response, labels) => {
    const same = labels.some((label) => label.trim() === response.trim());
    return {
      outcome: same ? "pass" : "fail",
      evidence: `The response ${same ? "is" : "is not"} ${JSON.stringify(shorten(labels[0]!))}.`,
    };
  },
});

const text = defineVerifier({
  name: "text",
  judges: "answer",
  needs: references,
  grade: (response, reference, settings, tools) =>
    tools.answers.grade({
      reference,
      response,
      options: { ...answerOptions({ ...settings, mode: undefined }), kind: "text" },
    }),
});

const json = defineVerifier({
  name: "json",
  judges: "answer",
  needs: z
    .custom<Row>((row) => typeof row === "object" && row !== null)
    .transform((row, context): string => {
      const value = referenceValue(row)?.value;
      const data = dataOf(value);
      if (value !== undefined && data !== undefined) return stringifyJson(data);
      context.addIssue({
        code: "custom",
        message: `it has no reference that is JSON: expected answer or ground_truth, came ${stringifyJson(value)?.slice(0, 80)}`,
      });
      return z.NEVER;
    }),
  grade: (response, reference, settings, tools) => {
    const options = { ...answerOptions({ ...settings, mode: undefined }), kind: "json" } as const;
    const whole = /^\s*(?:```|[[{"]|-?\d|true\b|false\b|null\b)/.test(response);
    return tools.answers.grade({ reference, response, options: { ...options, extracted: whole } });
  },
});

/** open-instruct's rules under its names; of a list of labels the best counts. */
const openInstruct = (["strict_math", "puzzle", "string_matcher", "flan", "string_f1"] as const).map((name) =>
  defineVerifier({
    name,
    judges: "answer",
    needs: references,
    grade: async (response, labels, settings) => {
      const scores = labels.map((label) => openInstructScorers[name]!(response, label));
      return scored(Math.max(...scores), settings.pass_score ?? 1, name);
    },
  }),
);

/** Of a search agent: what stands between its finish tags. */
const finish = z
  .custom<Row>((row) => typeof row === "object" && row !== null)
  .transform((row, context): readonly string[] => {
    const value = referenceValue(row)?.value;
    const data = dataOf(value) ?? value;
    const labels = (Array.isArray(data) ? data : [data]).filter((label) => label != null).map(String);
    if (labels.length > 0) return labels;
    context.addIssue({ code: "custom", message: "it has no reference: expected ground_truth" });
    return z.NEVER;
  });

const reSearch = defineVerifier({
  name: "re_search",
  judges: "answer",
  needs: finish,
  grade: async (response, labels) => {
    const answer = /<finish>([\s\S]*?)<\/finish>/i.exec(response)?.[1]?.trim();
    if (answer === undefined || answer === "")
      return { outcome: "unparseable", evidence: "The response has no <finish>...</finish>." };
    const same = labels.some((label) => normaliseText(label) === normaliseText(answer));
    return {
      outcome: same ? "pass" : "fail",
      evidence: `The answer ${JSON.stringify(shorten(answer))} ${same ? "is" : "is not"} ${JSON.stringify(shorten(labels[0]!))}.`,
    };
  },
});

const reSearchF1 = defineVerifier({
  name: "re_search_f1",
  judges: "answer",
  needs: finish,
  grade: async (response, labels, settings) => {
    const start = response.lastIndexOf("<finish>");
    const rest = start < 0 ? response : response.slice(start + "<finish>".length);
    const end = rest.indexOf("</finish>");
    if (start < 0 && end < 0)
      return { outcome: "unparseable", evidence: "The response has no <finish> tag.", details: { score: 0 } };
    const answer = end < 0 ? rest : rest.slice(0, end);
    if (answer === "")
      return { outcome: "unparseable", evidence: "The <finish> tag is empty.", details: { score: 0 } };
    const best = Math.max(...labels.map((label) => tokenF1(answer, label).f1));
    return scored(best === 0 ? 0.1 : best, settings.pass_score ?? 1, "re_search_f1");
  },
});

const shorten = (long: string): string => (long.length > 200 ? `${long.slice(0, 200)}...` : long);

export const answerVerifiers: readonly VerifierDefinition[] = [
  math,
  gsm8k,
  exactMatchVerifier,
  multipleChoice,
  exact,
  text,
  json,
  ...openInstruct,
  reSearch,
  reSearchF1,
];
