// All case files; ops.test.ts fails when an op of the table has none.
import { adamwCase } from "./adamw.js";
import { addCase } from "./add.js";
import { attentionCase } from "./attention.js";
import { attentionCachedCase } from "./attention-cached.js";
import type { OpCase } from "./case.js";
import { convertCase } from "./convert.js";
import { embeddingCase } from "./embedding.js";
import { fillCase } from "./fill.js";
import { gatherIdsCase } from "./gather-ids.js";
import { gatherRowsCase } from "./gather-rows.js";
import { linearBf16Case, linearCase } from "./linear.js";
import { rmsNormCase } from "./rms-norm.js";
import { ropeCase } from "./rope.js";
import { ropeTableCase } from "./rope-table.js";
import { sampleBf16Case, sampleCase } from "./sample.js";
import { scatterAddCase } from "./scatter-add.js";
import { sumSquaresCase } from "./sum-squares.js";
import { swigluCase } from "./swiglu.js";
import { tokenLogProbsBf16Case, tokenLogProbsCase } from "./token-log-probs.js";

export const cases: readonly OpCase[] = [
  adamwCase,
  addCase,
  attentionCase,
  attentionCachedCase,
  convertCase,
  embeddingCase,
  fillCase,
  gatherIdsCase,
  gatherRowsCase,
  linearCase,
  linearBf16Case,
  rmsNormCase,
  ropeCase,
  ropeTableCase,
  sampleCase,
  sampleBf16Case,
  scatterAddCase,
  sumSquaresCase,
  swigluCase,
  tokenLogProbsCase,
  tokenLogProbsBf16Case,
];
