// All case files; ops.test.ts fails when an op of the table has none.
import type { OpCase } from "./case.js";
import { linearCase } from "./linear.js";
import { rmsNormCase } from "./rms-norm.js";
import { sampleCase } from "./sample.js";
import { tokenLogProbsCase } from "./token-log-probs.js";

export const cases: readonly OpCase[] = [linearCase, rmsNormCase, sampleCase, tokenLogProbsCase];
