// Area long-form: requests for long texts of a given length, and texts of up to 8,192 tokens that answer them. Seeds are long texts (back-translated) or
// queries (extended); grades are lengths.
import type { Area } from "../area.js";
import { inTurns } from "../turns.js";
import { backTranslated } from "./back-translated.js";
import { extended } from "./extended.js";
import { judged } from "./judged.js";

const makers = { "back-translated": backTranslated, extended } as const;

export const longForm: Area = {
  version: 1,
  tasks: Object.keys(makers),
  seeds: "needed",
  build: (making) =>
    inTurns(making.tasks.map((task) => judged(makers[task as keyof typeof makers](making), making))),
};
