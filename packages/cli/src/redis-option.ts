// Where workers are found, and where they find weights: options of who asks and of who works.
import { z } from "zod";

export const redisUrl = z
  .string()
  .min(1)
  .describe(
    "URL of Redis: redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE][?prefix=NAME], rediss:// for TLS; a password is better in POSTTRAIN_REDIS, which no list of processes shows",
  );

/** Of commands that grade or score. */
export const gradedOn = {
  redis: redisUrl
    .optional()
    .describe(
      "URL of Redis, whose workers grade and score in place of this process (posttrain worker, docs/workers.md)",
    ),
};

/** Of commands that sample, beside redis. */
export const sampledBy = {
  weights_dir: z
    .string()
    .min(1)
    .optional()
    .describe(
      "folder that workers see too: they sample in place of this process, with the weights that it writes there (posttrain worker --kinds rollout, docs/workers.md); needs redis",
    ),
  serve_weights: z
    .string()
    .min(1)
    .optional()
    .describe(
      "[HOST:]PORT where workers that share no folder fetch the weights (--weights_url there); HOST is 127.0.0.1, and any other needs POSTTRAIN_WEIGHTS_TOKEN; weights_dir is then where they lie, by default a temporary folder",
    ),
};

/** Kinds of workers by what they do for a command. */
const kindsThat = {
  grade: "grade",
  sample: "rollout",
  "sample and grade": "rollout,grade",
  "do the steps": "stage",
} as const;

/** How to start who a command waits for. */
export function workersSentence(doing: keyof typeof kindsThat, place = ""): string {
  return `Workers ${doing}: posttrain worker --kinds ${kindsThat[doing]}${place}; posttrain jobs list shows them.`;
}
