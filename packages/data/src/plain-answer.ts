// The answer column as text.
import { asDouble, isJsonNumber, sameDecimal } from "./lossless-json.js";

/** Text, or a number: 72.0 is the answer 72. */
export function plainAnswer(answer: unknown): string {
  if (typeof answer === "string") return answer;
  if (!isJsonNumber(answer)) return "";
  const double = String(asDouble(answer));
  return sameDecimal(double, String(answer)) ? double : String(answer);
}
