// The public face of the model package: folders, models, the forward pass, generation. Token ids only; text is @posttrain/data's.
export { type Companions, checkCompanions, readCompanions } from "./companions.js";
export {
  headsWeight,
  parameterCount,
  parseModelConfig,
  type Qwen2Config,
  type ScoreHead,
  scoreWeight,
} from "./config.js";
export {
  type ForwardOptions,
  forward,
  type PackedBatch,
  type Predictions,
  packSequences,
  predict,
  type ReadPredictions,
  readPredictions,
} from "./forward.js";
export {
  type GeneratedSequence,
  type GenerationOptions,
  type GenerationRequest,
  generate,
  kvCacheBytes,
  policySampling,
  type SamplingSettings,
} from "./generate.js";
export { type GenerationConfig, resolveStopIds } from "./generation-config.js";
export { brokenWeights, type LoadOptions, loadModel, readWeights } from "./load-model.js";
export {
  type ComputeDtype,
  computeBytes,
  emptyModel,
  enableGradients,
  foldLookups,
  type Gradients,
  head,
  initialiseModel,
  type Model,
  type ModelOptions,
  type ParameterLayout,
  parameter,
  setParameter,
  zeroGradients,
} from "./model.js";
export { modelDigest } from "./model-digest.js";
export { type ModelFolder, type ModelKind, openModelConfigs, openModelFolder } from "./model-folder.js";
export { computeDtype, type ModelChoice, modelOptions } from "./model-options.js";
export { refuseTooLarge } from "./model-size.js";
export { exportOnnx, type OnnxExport } from "./onnx/export-onnx.js";
export { type LanguageOutput, languageOutputs } from "./onnx/graph.js";
export { type OnnxModel, onnxFileAt, openOnnxModel } from "./onnx/onnx-model.js";
export {
  type HeldModel,
  loadPublished,
  openPublisher,
  type Publisher,
  type WeightsSource,
  weightsOfFolder,
  weightsOfModel,
} from "./published-model.js";
export { readSafetensorsHeader, writeSafetensors } from "./safetensors.js";
export { saveModel } from "./save-model.js";
export {
  type WeightsPlace,
  weightsAt,
  weightsInFolder,
} from "./weights-place.js";
export { serveWeights, type WeightsServer } from "./weights-server.js";
export { forwardWork, type Work } from "./work.js";
