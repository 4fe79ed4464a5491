/** The process in which answers are compared: reads jobs from its parent, answers each with a verdict, may be killed. */

import { createWriteStream } from "node:fs";
import { createInterface } from "node:readline";
import type { Verdict } from "@posttrain/data";
import type { AnswerJob } from "./answer-grader.js";
import { gradeAnswer } from "./grade.js";

const answers = createWriteStream("", { fd: 3 });
createInterface({ input: process.stdin })
  .on("line", (line) => {
    const space = line.indexOf(" ");
    const verdict = grade(JSON.parse(line.slice(space + 1)));
    answers.write(`${line.slice(0, space)} ${JSON.stringify(verdict)}\n`);
  })
  // The parent's end is ours: nobody is left to grade for.
  .on("close", () => process.exit(0));
answers.write("ready \n");

/** An error here is our own mistake, so it is nobody's wrong answer. */
function grade({ reference, response, options }: AnswerJob): Verdict {
  try {
    return gradeAnswer(reference, response, options);
  } catch (error) {
    return {
      outcome: "infrastructure-error",
      evidence: `The comparison failed with ${String(error).slice(0, 500)}.`,
    };
  }
}
