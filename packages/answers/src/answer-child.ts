/** The process in which answers are compared: reads jobs from its parent, answers each with a verdict, may be killed. */

import type { Verdict } from "@posttrain/data";
import type { AnswerJob, AnswerReply } from "./answer-grader.js";
import { gradeAnswer } from "./grade.js";

process.on("message", (job: AnswerJob) => {
  const reply: AnswerReply = { id: job.id, verdict: grade(job) };
  process.send?.(reply);
});
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

// The parent's end is ours: nobody is left to grade for.
process.on("disconnect", () => process.exit(0));
