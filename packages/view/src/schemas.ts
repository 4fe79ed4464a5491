// What a file says of its own form, held against the one that is read here.
import { UserError } from "@posttrain/data";

export function newerSchema(where: string, said: unknown, expected: string): UserError {
  return new UserError(
    "newer_schema",
    `${where}: its schema is ${JSON.stringify(said) ?? "not named"}, this posttrain reads ${JSON.stringify(expected)}. Look at the run with the posttrain that wrote it, or a newer one.`,
  );
}
