// All case files; ops.test.ts fails when an op of the table has none.
import type { OpCase } from "./case.js";
import { rmsNormCase } from "./rms-norm.js";

export const cases: readonly OpCase[] = [rmsNormCase];
