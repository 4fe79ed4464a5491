// What is left of a run whose machine gave up in the middle of a step: no memory, a GPU that was lost.
import { join } from "node:path";
import { KernelError } from "@posttrain/kernels";
import { newestCheckpoint } from "@posttrain/run";
import { count, shellQuote } from "../format.js";

/** The error, with what is whole and how the run goes on; any other error as it is. */
export async function stoppedByMachine(error: unknown, stage: string, dir: string): Promise<unknown> {
  if (!(error instanceof KernelError) || (error.code !== "kernel_memory" && error.code !== "kernel_device"))
    return error;
  return new KernelError(error.code, `${sentence(error.message)} ${await kept(stage, dir)}`, {
    cause: error,
  });
}

async function kept(stage: string, dir: string): Promise<string> {
  const { checkpoint } = await newestCheckpoint(dir);
  if (checkpoint === undefined)
    return "The run stopped before its first checkpoint, so nothing of it is kept: begin again in an empty output_dir (save_steps says how often it saves).";
  return `${checkpoint.dir} is whole: npx posttrain ${stage} --config ${shellQuote(join(dir, "config.yaml"))} --resume_from_checkpoint goes on after step ${count(checkpoint.manifest.step)} with the same bits. --gradient_checkpointing takes less memory and changes no bit; what does is refused there, unless --accept_change names it.`;
}

const sentence = (text: string): string => (text.endsWith(".") ? text : `${text}.`);
