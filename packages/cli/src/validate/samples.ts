// Rows as a person checks them: their text, with what is trained in colour; without colour between ⟦ and ⟧.
import { styleText } from "node:util";
import { IGNORED_LABEL, type Tokenizer } from "@posttrain/data";
import stringWidth from "string-width";
import { count } from "../format.js";
import type { LabelledTokens } from "../stages/stage.js";
import { visible } from "../visible.js";

export interface Segment {
  /** Of a row of several sequences. */
  readonly sequence?: string;
  readonly text: string;
  readonly trained: boolean;
}

/** A sequence's text, cut where training begins and ends. Without a tokenizer: its ids. */
export function segmentsOf(
  { inputIds, labels, name }: LabelledTokens,
  tokenizer: Tokenizer | undefined,
): readonly Segment[] {
  const segments: { sequence?: string; text: string; trained: boolean }[] = [];
  const named = name === undefined ? {} : { sequence: name };
  const stream = tokenizer?.createDecodeStream();
  for (const [i, id] of inputIds.entries()) {
    // Nothing predicts the first token.
    const trained = i > 0 && labels[i] !== IGNORED_LABEL;
    // A character of several tokens comes with the last of them.
    const text = stream === undefined ? `${id} ` : stream.push(id);
    const last = segments.at(-1);
    if (last?.trained === trained) last.text += text;
    else segments.push({ ...named, text, trained });
  }
  const last = segments.at(-1);
  if (last !== undefined && stream !== undefined) last.text += stream.flush();
  return segments;
}

/** `count` of them, spread over the file. */
export function spread<T>(rows: readonly T[], count: number): readonly T[] {
  const taken = Math.min(count, rows.length);
  return Array.from({ length: taken }, (_, i) => rows[Math.floor((i * rows.length) / taken)]!);
}

/** Lines of at most `columns` cells. */
export function sampleLines(
  segments: readonly Segment[],
  { columns, coloured }: { readonly columns: number; readonly coloured: boolean },
): readonly string[] {
  const graphemes = new Intl.Segmenter("en", { granularity: "grapheme" });
  const lines: string[] = [];
  let line = "";
  let cells = 0;
  let part = "";
  let trained = false;
  const endPart = (): void => {
    line += trained && coloured && part !== "" ? styleText(["bold", "green"], part) : part;
    part = "";
  };
  const endLine = (): void => {
    endPart();
    lines.push(line);
    line = "";
    cells = 0;
  };
  for (const segment of segments) {
    endPart();
    trained = segment.trained;
    // Line feeds are shown and kept.
    const text = shortened(segment.text).replaceAll("\n", "↵\n").replaceAll("\t", "\\t");
    const shown = visible(text);
    const marked = trained && !coloured ? `⟦${shown}⟧` : shown;
    for (const { segment: grapheme } of graphemes.segment(marked)) {
      if (grapheme === "\n") {
        endLine();
        continue;
      }
      const width = stringWidth(grapheme);
      if (cells + width > columns) endLine();
      part += grapheme;
      cells += width;
    }
  }
  if (cells > 0 || part !== "") endLine();
  return lines;
}

const longest = 600;

/** Of a long text its beginning and end. */
function shortened(text: string): string {
  const characters = [...text];
  if (characters.length <= longest) return text;
  const [head, tail] = [characters.slice(0, 400), characters.slice(-150)];
  return `${head.join("")} [... ${count(characters.length - head.length - tail.length)} characters ...] ${tail.join("")}`;
}
