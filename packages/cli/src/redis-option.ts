// Where workers are found: one option, of who asks and of who works.
import { z } from "zod";

export const redisUrl = z
  .string()
  .min(1)
  .describe(
    "URL of Redis: redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE][?prefix=NAME], rediss:// for TLS; a password is better in POSTTRAIN_REDIS, which no list of processes shows",
  );

/** Of commands that grade. */
export const gradedOn = {
  redis: redisUrl
    .optional()
    .describe(
      "URL of Redis, whose workers grade in place of this process (posttrain worker, docs/workers.md)",
    ),
};
