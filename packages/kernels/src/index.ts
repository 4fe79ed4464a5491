// The public face of the kernels: devices, tensors, scopes, the tape, and one function for each op.
export { cpuPaths, type Device, type DeviceOptions, openDevice } from "./device.js";
export { KernelError, type KernelErrorCode } from "./errors.js";
export { defaultMemoryLimit, machineMemory } from "./machine-memory.js";
export { MappedFile } from "./mapped-file.js";
export { type Messages, openMessages } from "./messages.js";
export { addonFile, backends, type DeviceStatus } from "./native.js";
export { type AdamwStep, adamw } from "./ops/adamw.js";
export { accumulate, add } from "./ops/add.js";
export { attention, attentionCached } from "./ops/attention.js";
export { convert } from "./ops/convert.js";
export { embedding, RowGradient } from "./ops/embedding.js";
export { fill } from "./ops/fill.js";
export { gatherIds } from "./ops/gather-ids.js";
export { gatherRows } from "./ops/gather-rows.js";
export { type KvPages, keysPerPage, kvCacheCopy, kvCacheWrite, kvPages } from "./ops/kv-cache.js";
export { linear } from "./ops/linear.js";
export { type LinearMap, linears } from "./ops/linears.js";
export {
  type MergeMethod,
  type OnlineMergingStep,
  onlineMerging,
  taskVector,
} from "./ops/online-merging.js";
export { probeAmxPeak } from "./ops/probe-amx.js";
export { probeFmaPeak } from "./ops/probe-fma.js";
export { type MemoryRates, probeMemory } from "./ops/probe-memory.js";
export { reshape } from "./ops/reshape.js";
export { rmsNorm } from "./ops/rms-norm.js";
export { rope } from "./ops/rope.js";
export { type RopeTable, ropeTable } from "./ops/rope-table.js";
export { type SampleSettings, sample } from "./ops/sample.js";
export { sumSquares } from "./ops/sum-squares.js";
export { swiglu } from "./ops/swiglu.js";
export { type TokenLogProbs, tokenLogProbs } from "./ops/token-log-probs.js";
export type { Kept, Scope } from "./scope.js";
export { backward, checkpoint, type Seed, Tape } from "./tape.js";
export { type Dtype, describe, type FloatDtype, Tensor, type TensorData } from "./tensor.js";
