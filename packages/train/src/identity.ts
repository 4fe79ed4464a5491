// What the bits of a run are a function of: its config by the roles that options give to keys, its length, and the digests of what it reads.
import type { Identity } from "@posttrain/run";
import type { z } from "zod";
import type { IdentityRole, TrainingConfig } from "./options.js";

/** `shape`: of the stage's schema, whose keys say their roles. `digests`: of the files that the run reads. */
export function identityOf(
  shape: Readonly<Record<string, z.ZodType>>,
  config: TrainingConfig,
  totalSteps: number,
  digests: Readonly<Record<string, string>>,
): Identity {
  // A learning rate that decays knows the end of the run; a constant one may stop anywhere.
  const constant = config.lr_scheduler_type.startsWith("constant");
  const stops = config.early_stopping_patience !== undefined;
  const counts = (key: string, value: unknown): boolean => {
    const schema = shape[key];
    switch (schema?.meta()?.["identity"] as IdentityRole | undefined) {
      case undefined:
        return true;
      case "stopping":
        return stops;
      case "unless_default":
        return value !== schema?.parse(undefined);
      case "free":
      case "length":
        return false;
    }
  };
  const { eval_data: evalDigest, ...others } = digests;
  return {
    ...Object.fromEntries(
      Object.entries(config).filter(([key, value]) => value !== undefined && counts(key, value)),
    ),
    ...(constant ? {} : { total_steps: totalSteps }),
    ...others,
    ...(stops && evalDigest !== undefined ? { eval_data: evalDigest } : {}),
  };
}
