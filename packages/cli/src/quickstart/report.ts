// What the quickstart prints, as lines of at most 78 columns: loss curve, sample answers, accuracy tables.
import { styleText } from "node:util";
import type { Accuracy } from "@posttrain/evaluate";
import { type ArithmeticKind, arithmeticKinds, arithmeticQuestion } from "@posttrain/sft";
import asciichart from "asciichart";
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

const curve = { columns: 66, rows: 8 };

/** Losses of steps 1, 2, ... on a logarithmic axis, means over as many steps as share a column. */
export function lossCurve(losses: readonly number[]): readonly string[] {
  const columns = Math.min(curve.columns, losses.length);
  const means = Array.from({ length: columns }, (_, i) => {
    const from = Math.floor((i * losses.length) / columns);
    const part = losses.slice(from, Math.floor(((i + 1) * losses.length) / columns));
    return part.reduce((sum, loss) => sum + loss, 0) / part.length;
  });
  const labelWidth = 8;
  const chart = asciichart.plot(
    means.map((mean) => Math.log10(Math.max(mean, 1e-6))),
    {
      height: curve.rows,
      format: (exponent) =>
        Number((10 ** exponent).toPrecision(2))
          .toString()
          .padStart(labelWidth),
    },
  );
  const last = `step ${count(losses.length)}`;
  const axis = `${" ".repeat(labelWidth + 2)}step 1${last.padStart(Math.max(last.length + 1, columns - 6))}`;
  return [...chart.split("\n").map((line) => line.trimEnd()), axis];
}

const answerWidth = 56;

/** The first problem of each kind with its answer before and after. */
export function sampleAnswers(
  before: readonly GradedAnswer[],
  after: readonly GradedAnswer[],
  { dim }: Style,
): readonly string[] {
  return arithmeticKinds.flatMap((kind) => {
    const first = after.findIndex(({ problem }) => problem.kind === kind);
    const shown = ({ text, finish, correct }: GradedAnswer): string => {
      const line = text
        .trim()
        .replaceAll("\n", " | ")
        .replaceAll(/[^\x20-\x7e]/g, "\u00b7");
      const cut = line.length > answerWidth ? `${line.slice(0, answerWidth - 3)}...` : line;
      return `${cut.padEnd(answerWidth)}  ${correct ? "right" : finish === "stop" ? "wrong" : "no end"}`;
    };
    const { problem } = after[first] as GradedAnswer;
    return [
      arithmeticQuestion(problem),
      `  ${dim("before")}  ${shown(before[first] as GradedAnswer)}`,
      `  ${dim("after")}   ${shown(after[first] as GradedAnswer)}`,
    ];
  });
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

/** " 96.8 %  94.9-98.0 ", 21 columns. */
function cell({ share, low, high }: Accuracy): string {
  const percent = (value: number): string => (100 * value).toFixed(1);
  return `${`${percent(share)} %`.padStart(10)}  ${`${percent(low)}-${percent(high)}`.padEnd(9)}`;
}
