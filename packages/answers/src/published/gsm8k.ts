/**
 * GSM8K's own rule, openai/grade-school-math grade_school_math/dataset.py (MIT): the number behind `####`, commas removed, must
 * be the same characters. Its published model solutions end in `A: number` instead; both are read.
 */
const MARKED = /#### (-?[0-9.,]+)/;
const ANSWER_LINE = /(?:^|\n)A: ?\$?(-?[0-9.,]+)/g;

export function gsm8kExtract(response: string): string | undefined {
  const marked = MARKED.exec(response)?.[1];
  const line = marked ?? [...response.matchAll(ANSWER_LINE)].at(-1)?.[1];
  return line?.trim().replaceAll(",", "");
}

export function gsm8kEqual(gold: string, prediction: string): boolean {
  const bare = (MARKED.exec(gold)?.[1] ?? gold).trim().replaceAll(",", "");
  return bare === prediction;
}
