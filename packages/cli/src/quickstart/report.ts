// What the quickstart prints, as lines of at most 78 columns: loss curve, sample answers, accuracy tables.
import { styleText } from "node:util";
import type { Accuracy } from "@posttrain/data";
import { type ArithmeticKind, arithmeticKinds, arithmeticQuestion } from "@posttrain/sft";
import { columnsOf, curve } from "../curve.js";
import { count } from "../format.js";
import { accuracy, type GradedAnswer } from "./evaluate.js";

export interface Style {
  readonly bold: (text: string) => string;
  readonly dim: (text: string) => string;
}

/** Plain where the stream is no terminal or NO_COLOR is set. */
export function styleFor(stream: NodeJS.WriteStream): Style {
  const coloured = stream.isTTY === true && stream.hasColors();
  const as = (format: "bold" | "dim") => (text: string) => (coloured ? styleText(format, text) : text);
  return { bold: as("bold"), dim: as("dim") };
}

/** Losses of steps 1, 2, ... on a logarithmic axis, means over as many steps as share a column. */
export function lossCurve(losses: readonly number[]): readonly string[] {
  return curve(
    columnsOf(losses).map((mean) => Math.log10(Math.max(mean, 1e-6))),
    { rows: 8, first: 1, last: losses.length },
    (exponent) => Number((10 ** exponent).toPrecision(2)).toString(),
  );
}

/** Mean rewards of steps 1, 2, ... */
export function rewardCurve(rewards: readonly number[]): readonly string[] {
  return curve(columnsOf(rewards), { rows: 8, first: 1, last: rewards.length }, (reward) =>
    reward.toFixed(2),
  );
}

const answerWidth = 56;

/** An answer on one line: what it says, and what came of it. */
function shown({ text, finish, correct }: GradedAnswer, width: number): string {
  const line = text
    .trim()
    .replaceAll("\n", " | ")
    .replaceAll(/[^\x20-\x7e]/g, "\u00b7");
  const cut = line.length > width ? `${line.slice(0, width - 3)}...` : line;
  return `${cut.padEnd(width)}  ${correct ? "right" : finish === "stop" ? "wrong" : "no end"}`;
}

/** The first problem of each kind with its answer before and after. */
export function sampleAnswers(
  before: readonly GradedAnswer[],
  after: readonly GradedAnswer[],
  { dim }: Style,
): readonly string[] {
  return arithmeticKinds.flatMap((kind) => {
    const first = after.findIndex(({ problem }) => problem.kind === kind);
    const { problem } = after[first] as GradedAnswer;
    return [
      arithmeticQuestion(problem),
      `  ${dim("before")}  ${shown(before[first] as GradedAnswer, answerWidth)}`,
      `  ${dim("after")}   ${shown(after[first] as GradedAnswer, answerWidth)}`,
    ];
  });
}

/** A stage and its answers to the held-out problems, the same for all stages. */
export interface GradedStage {
  readonly name: string;
  readonly answers: readonly GradedAnswer[];
}

const stageWidth = 32;
const nameWidth = 22;

/** Right answers after each stage, with their intervals. */
export function stageTable(stages: readonly GradedStage[], { dim }: Style): readonly string[] {
  const total = stages[0]?.answers.length ?? 0;
  return [
    dim(`${"".padEnd(stageWidth)}${`of ${count(total)}`.padStart(8)}`),
    ...stages.map(({ name, answers }) => {
      const found = accuracy(answers);
      return `${name.padEnd(stageWidth)}${count(found.correct).padStart(8)}${cell(found)}`.trimEnd();
    }),
  ];
}

/** Problems that the second of two answers right and the first does not, and the reverse. */
export function changes(
  before: readonly GradedAnswer[],
  after: readonly GradedAnswer[],
): { readonly gained: number; readonly lost: number } {
  const only = (own: readonly GradedAnswer[], other: readonly GradedAnswer[]): number =>
    own.filter(({ correct }, i) => correct && !other[i]?.correct).length;
  return { gained: only(after, before), lost: only(before, after) };
}

/** What every stage says to one problem: to the first on which the stages given by `differing` are not of one mind, else the first. */
export function stageAnswers(
  stages: readonly GradedStage[],
  differing: readonly GradedStage[],
  { dim }: Style,
): readonly string[] {
  const [reference] = stages;
  if (reference === undefined) return [];
  const differ = (_: GradedAnswer, i: number): boolean =>
    new Set(differing.map(({ answers }) => answers[i]?.correct)).size > 1;
  const place = Math.max(0, reference.answers.findIndex(differ));
  const { problem } = reference.answers[place] as GradedAnswer;
  return [
    arithmeticQuestion(problem),
    ...stages.map(
      ({ name, answers }) =>
        `  ${dim(name.trim().padEnd(nameWidth))}  ${shown(answers[place] as GradedAnswer, answerWidth + 8 - nameWidth)}`,
    ),
  ];
}

/** Accuracy by kind and over all, before and after, each with its interval. `names`: how the table calls a kind. */
export function accuracyTable(
  before: readonly GradedAnswer[],
  after: readonly GradedAnswer[],
  names: Readonly<Record<ArithmeticKind, string>>,
  { bold, dim }: Style,
): readonly string[] {
  const row = (name: string, choose: (answer: GradedAnswer) => boolean): string => {
    const chosen = after.filter(choose);
    return [
      name.padEnd(26),
      count(chosen.length).padStart(8),
      cell(accuracy(before.filter(choose))),
      cell(accuracy(chosen)),
    ]
      .join("")
      .trimEnd();
  };
  const head = `${"".padEnd(26)}${"problems".padStart(8)}${"before".padStart(10)}${"".padEnd(11)}${"after".padStart(10)}`;
  return [
    dim(head),
    ...arithmeticKinds.map((kind) => row(names[kind], ({ problem }) => problem.kind === kind)),
    bold(row("all", () => true)),
  ];
}

/** "62.0 % (53.8-69.6)" */
export function percentText({ share, low, high }: Pick<Accuracy, "share" | "low" | "high">): string {
  const percent = (value: number): string => (100 * value).toFixed(1);
  return `${percent(share)} % (${percent(low)} to ${percent(high)})`;
}

/** " 96.8 %  94.9-98.0 ", 21 columns. */
function cell({ share, low, high }: Accuracy): string {
  const percent = (value: number): string => (100 * value).toFixed(1);
  return `${`${percent(share)} %`.padStart(10)}  ${`${percent(low)}-${percent(high)}`.padEnd(9)}`;
}
