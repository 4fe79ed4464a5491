// What training in fp32 takes of memory. Weights, gradients and moments are counted; activations are an estimate.
import { totalmem } from "node:os";
import type { Qwen2Config } from "@posttrain/model";

/** Bytes a parameter: weight, gradient, two moments. */
export const bytesPerParameter = 16;
/** Of a checkpoint, which keeps no gradients. */
export const checkpointBytesPerParameter = 12;

/**
 * Estimated bytes of activations of a micro-batch of `tokens` tokens. What a layer keeps for its backward pass, in every layer and once
 * more for the gradients of the layer at hand; with checkpointing the inputs of every layer and one layer's own. Measured on a model of
 * 135 M parameters with 4,300 tokens: 1,069 MiB, of which this gives 888 (docs/benchmarks.md); blocks that the arena caches are not in it.
 */
export function activationBytes(config: Qwen2Config, tokens: number, checkpointing: boolean): number {
  const { hiddenSize, layers, heads, kvHeads, headDim, intermediateSize } = config;
  const layer = 5 * hiddenSize + 3 * (heads + kvHeads) * headDim + 3 * intermediateSize;
  const floats = checkpointing ? 2 * layers * hiddenSize + 2 * layer : (layers + 1) * layer;
  return 4 * tokens * floats;
}

/** Of the machine, or what a container grants. */
export function machineMemory(): number {
  const granted = process.constrainedMemory();
  return granted > 0 ? Math.min(granted, totalmem()) : totalmem();
}

/** "494 MB", "1.5 GB". */
export function byteText(bytes: number): string {
  if (bytes < 1e6) return bytes < 1000 ? `${bytes} B` : `${(bytes / 1e3).toFixed(1)} kB`;
  return bytes < 1e9 ? `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB` : `${(bytes / 1e9).toFixed(1)} GB`;
}
