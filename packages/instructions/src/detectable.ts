/** detectable_content:* and detectable_format:*: marks of form that a program can find. */
import { z } from "zod";
import {
  compareCount,
  defineInstruction,
  drawNumber,
  drawOne,
  natural,
  noKwargs,
  nonEmpty,
} from "./instruction.js";
import { compilePattern } from "./pattern.js";
import { isBlank, SPACE, strip } from "./python-text.js";

export const numberPlaceholders = defineInstruction({
  id: "detectable_content:number_placeholders",
  kwargs: z.strictObject({ num_placeholders: natural }),
  checker:
    ({ num_placeholders: count }) =>
    (response) =>
      compareCount(countPlaceholders(response), "placeholders in square brackets", "at least", count),
  describe: ({ num_placeholders: count }) =>
    `Leave at least ${count} placeholders in square brackets, for example [name].`,
  generate: (random) => ({ num_placeholders: drawNumber(random, 1, 4) }),
});

/** `[...]` on one line. By hand: the expression takes quadratic time on a line of opening brackets. */
export function countPlaceholders(text: string): number {
  let count = 0;
  for (const line of text.split("\n")) {
    let at = 0;
    for (;;) {
      const open = line.indexOf("[", at);
      const close = open < 0 ? -1 : line.indexOf("]", open);
      if (close < 0) break;
      count++;
      at = close + 1;
    }
  }
  return count;
}

export const postscript = defineInstruction({
  id: "detectable_content:postscript",
  kwargs: z.strictObject({ postscript_marker: nonEmpty }),
  checker: ({ postscript_marker: marker }) => {
    const pattern = compilePattern(postscriptPattern(strip(marker)), { ignoreCase: false });
    return (response) => {
      const found = pattern.count(response.toLowerCase()) > 0;
      return {
        followed: found,
        evidence: `the postscript mark "${marker}" ${found ? "found" : "not found"}`,
      };
    };
  },
  describe: ({ postscript_marker: marker }) => `End your answer with a postscript that begins with ${marker}`,
  generate: (random) => ({ postscript_marker: drawOne(random, ["P.S.", "P.P.S"]) }),
});

/** For text in small letters. The two usual marks may have spaces in them; others are patterns of their own. */
function postscriptPattern(marker: string): string {
  if (marker === "P.P.S") return "p\\.\\s?p\\.\\s?s";
  if (marker === "P.S.") return "p\\.\\s?s\\.";
  return marker.toLowerCase();
}

export const numberBulletLists = defineInstruction({
  id: "detectable_format:number_bullet_lists",
  kwargs: z.strictObject({ num_bullets: natural }),
  checker:
    ({ num_bullets: count }) =>
    (response) =>
      compareCount(countBullets(response), "bullet points", "exactly", count),
  describe: ({ num_bullets: count }) =>
    `Give exactly ${count} bullet points, in markdown:\n* This is a bullet point.\n* This is another.`,
  generate: (random) => ({ num_bullets: drawNumber(random, 1, 5) }),
});

/**
 * Lines that begin with `-`, or with a `*` that no other follows. As in the reference, a `*` at the end of its
 * line takes the next line as its text.
 */
function countBullets(text: string): number {
  let count = 0;
  let isText = false;
  const lines = text.split("\n");
  for (const [index, line] of lines.entries()) {
    const start = strip(line);
    if (start.startsWith("-")) count++;
    if (isText) {
      isText = false;
    } else if (start.startsWith("*")) {
      const rest = line.slice(line.indexOf("*") + 1);
      isText = rest === "" && index + 1 < lines.length;
      if (isText || (rest !== "" && !rest.startsWith("*"))) count++;
    }
  }
  return count;
}

const ANSWERS = ["My answer is yes.", "My answer is no.", "My answer is maybe."];

export const constrainedResponse = defineInstruction({
  id: "detectable_format:constrained_response",
  kwargs: noKwargs,
  checker: () => (response) => {
    const found = ANSWERS.find((answer) => response.includes(answer));
    return { followed: found !== undefined, evidence: `${found ?? "none"} of ${ANSWERS.join(" / ")}` };
  },
  describe: () => `Answer with one of these sentences: ${ANSWERS.join(" / ")}`,
  generate: () => ({}),
});

export const numberHighlightedSections = defineInstruction({
  id: "detectable_format:number_highlighted_sections",
  kwargs: z.strictObject({ num_highlights: natural }),
  checker:
    ({ num_highlights: count }) =>
    (response) =>
      compareCount(countHighlights(response), "highlights", "at least", count),
  describe: ({ num_highlights: count }) =>
    `Highlight at least ${count} parts of your answer in markdown, *like this*.`,
  generate: (random) => ({ num_highlights: drawNumber(random, 1, 4) }),
});

/** `*x*`, and `**x**` once more. `*x*` includes what stands between two neighbours' asterisks, as in the reference. */
function countHighlights(text: string): number {
  const single = text.match(/\*[^\n*]*\*/g) ?? [];
  const double = text.match(/\*\*[^\n*]*\*\*/g) ?? [];
  return [...single, ...double].filter((highlight) => !isBlank(highlight.replaceAll("*", ""))).length;
}

export const multipleSections = defineInstruction({
  id: "detectable_format:multiple_sections",
  kwargs: z.strictObject({ section_spliter: nonEmpty, num_sections: natural }),
  checker: ({ section_spliter: splitter, num_sections: count }) => {
    const after = `[${SPACE}]?\\p{Nd}+`;
    const pattern = compilePattern(strip(splitter), { ignoreCase: false, after });
    return (response) =>
      compareCount(pattern.count(response), `times "${splitter}" with a number`, "at least", count);
  },
  describe: ({ section_spliter: splitter, num_sections: count }) =>
    `Divide your answer into ${count} sections. Begin each with ${splitter} and its number:\n${splitter} 1\n[text of the first]\n${splitter} 2\n[text of the second]`,
  generate: (random) => ({
    section_spliter: drawOne(random, ["Section", "SECTION", "Part", "PART", "Chapter"]),
    num_sections: drawNumber(random, 1, 5),
  }),
});

export const jsonFormat = defineInstruction({
  id: "detectable_format:json_format",
  kwargs: noKwargs,
  checker: () => (response) => {
    const followed = isPythonJson(withoutFence(strip(response)));
    return { followed, evidence: followed ? "the answer is JSON" : "the answer does not parse as JSON" };
  },
  describe: () => "Give the whole answer as JSON; a markdown code block around it is allowed.",
  generate: () => ({}),
});

function withoutFence(text: string): string {
  let inner = text;
  for (const fence of ["```json", "```Json", "```JSON", "```"]) {
    if (inner.startsWith(fence)) inner = inner.slice(fence.length);
  }
  return inner.endsWith("```") ? inner.slice(0, -3) : inner;
}

/** Python's parser also takes NaN and the infinities. */
export function isPythonJson(text: string): boolean {
  return isJson(text) || (/NaN|Infinity/.test(text) && isJson(withoutPythonNumbers(text)));
}

/** NaN and the infinities outside strings become 0. */
function withoutPythonNumbers(text: string): string {
  return text.replace(/"[^"\\]*(?:\\.[^"\\]*)*(?:"|$)|-?Infinity|NaN/gs, (part) =>
    part.startsWith('"') ? part : "0",
  );
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch (error) {
    if (error instanceof SyntaxError) return false;
    throw error;
  }
}

export const title = defineInstruction({
  id: "detectable_format:title",
  kwargs: noKwargs,
  checker: () => (response) => {
    const followed = response.split("\n").some(hasTitle);
    return { followed, evidence: followed ? "a title in << >> found" : "no title in << >>" };
  },
  describe: () => "Give your answer a title in double angular brackets, such as <<a day at sea>>.",
  generate: () => ({}),
});

function hasTitle(line: string): boolean {
  const open = line.indexOf("<<");
  const close = line.lastIndexOf(">>");
  if (open < 0 || close < open) return false;
  return !isBlank(line.slice(open, close).replace(/^<+/, "").replace(/^>+$/, ""));
}
