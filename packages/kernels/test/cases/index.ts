// All case files; ops.test.ts fails when an op of the table has none.
import { adamwBf16Case, adamwCase } from "./adamw.js";
import { addCase } from "./add.js";
import { attentionBf16Case, attentionCase } from "./attention.js";
import { attentionCachedBf16Case, attentionCachedCase } from "./attention-cached.js";
import type { OpCase } from "./case.js";
import { convertCase } from "./convert.js";
import { embeddingBf16Case, embeddingCase } from "./embedding.js";
import { fillCase } from "./fill.js";
import { gatherIdsCase } from "./gather-ids.js";
import { gatherRowsBf16Case, gatherRowsCase } from "./gather-rows.js";
import { linearBf16Case, linearCase } from "./linear.js";
import { linearsBf16Case, linearsCase } from "./linears.js";
import { onlineMergingCases, taskVectorCases } from "./online-merging.js";
import { rmsNormBf16Case, rmsNormCase } from "./rms-norm.js";
import { ropeBf16Case, ropeCase } from "./rope.js";
import { ropeTableCase } from "./rope-table.js";
import { sampleBf16Case, sampleCase } from "./sample.js";
import { scatterAddCase } from "./scatter-add.js";
import { sumSquaresBf16Case, sumSquaresCase } from "./sum-squares.js";
import { swigluBf16Case, swigluCase } from "./swiglu.js";
import { tokenLogProbsBf16Case, tokenLogProbsCase } from "./token-log-probs.js";

export const cases: readonly OpCase[] = [
  adamwCase,
  adamwBf16Case,
  addCase,
  attentionCase,
  attentionBf16Case,
  attentionCachedCase,
  attentionCachedBf16Case,
  convertCase,
  embeddingCase,
  embeddingBf16Case,
  fillCase,
  gatherIdsCase,
  gatherRowsCase,
  gatherRowsBf16Case,
  linearCase,
  linearBf16Case,
  linearsCase,
  linearsBf16Case,
  ...onlineMergingCases,
  ...taskVectorCases,
  rmsNormCase,
  rmsNormBf16Case,
  ropeCase,
  ropeBf16Case,
  ropeTableCase,
  sampleCase,
  sampleBf16Case,
  scatterAddCase,
  sumSquaresCase,
  sumSquaresBf16Case,
  swigluCase,
  swigluBf16Case,
  tokenLogProbsCase,
  tokenLogProbsBf16Case,
];
