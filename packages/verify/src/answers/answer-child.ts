/** The process in which answers are compared: reads jobs from its parent, answers each with a verdict, may be killed. */

import type { AnswerJob, AnswerReply } from "./answer-grader.js";
import { gradeAnswer } from "./grade.js";

process.on("message", (job: AnswerJob) => {
  const reply: AnswerReply = { id: job.id, verdict: gradeAnswer(job.reference, job.response, job.options) };
  process.send?.(reply);
});
// The parent's end is ours: nobody is left to grade for.
process.on("disconnect", () => process.exit(0));
