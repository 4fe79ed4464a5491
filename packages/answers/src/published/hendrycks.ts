/**
 * Equality of hendrycks/math, modeling/math_equivalence.py (MIT): both texts are cleaned and must then be the same characters.
 * No arithmetic: 1/2 and 0.5 agree because that one decimal is rewritten, 2/4 and 1/2 do not.
 */

/** `\frac12` with braces; stops rewriting, as there, where a fraction is cut short. */
export function braceFractions(text: string): string {
  const [head = "", ...rest] = text.split("\\frac");
  let out = head;
  for (const part of rest) {
    out += "\\frac";
    if (part.startsWith("{")) out += part;
    else if (part.length < 2) return text;
    else {
      const [top = "", bottom = ""] = part;
      out += bottom === "{" ? `{${top}}${part.slice(1)}` : `{${top}}{${bottom}}${part.slice(2)}`;
    }
  }
  return out;
}

const braceRoots = (text: string): string => text.replace(/\\sqrt([^{])/g, "\\sqrt{$1}");

/** `a/b` alone becomes a fraction when both are plain integers. */
export function slashToFraction(text: string, allowRoots = false): string {
  const parts = text.split("/");
  if (parts.length !== 2) return text;
  const whole = (part: string): boolean =>
    /^-?(?:0|[1-9]\d*)$/.test(part) || (allowRoots && part.includes("sqrt"));
  return parts.every(whole) ? `\\frac{${parts[0]}}{${parts[1]}}` : text;
}

/** `k = 5` becomes `5` where the name has at most two characters. */
export function dropShortName(text: string): string {
  const parts = text.split("=");
  return parts.length === 2 && (parts[0] ?? "").length <= 2 ? (parts[1] ?? "") : text;
}

/** Throws where the original fails; `hendrycksEqual` then compares the texts as they came. */
export function stripString(source: string): string {
  let text = source
    .replaceAll("\n", "")
    .replaceAll("\\!", "")
    .replaceAll("\\\\", "\\")
    .replaceAll("tfrac", "frac")
    .replaceAll("dfrac", "frac")
    .replaceAll("\\left", "")
    .replaceAll("\\right", "")
    .replaceAll("^{\\circ}", "")
    .replaceAll("^\\circ", "")
    .replaceAll("\\$", "");
  const beforeUnits = text.split("\\text{ ");
  if (beforeUnits.length > 2) throw new RangeError("two units");
  text = (beforeUnits[0] ?? "")
    .replaceAll("\\%", "")
    .replaceAll("%", "")
    .replaceAll(" .", " 0.")
    .replaceAll("{.", "{0.");
  if (text === "") return text;
  if (text.startsWith(".")) text = `0${text}`;
  text = dropShortName(text);
  if (/\\sqrt$/.test(text)) throw new RangeError("a root of nothing");
  text = braceRoots(text).replaceAll(" ", "");
  if (/\\frac$/.test(text)) throw new RangeError("a fraction of nothing");
  text = braceFractions(text);
  if (text === "0.5") text = "\\frac{1}{2}";
  return slashToFraction(text);
}

export function hendrycksEqual(gold: string, prediction: string): boolean {
  let cleaned: readonly [string, string];
  try {
    cleaned = [stripString(gold), stripString(prediction)];
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return gold === prediction;
  }
  return cleaned[0] === cleaned[1];
}

/** The original takes the last `\boxed{...}` or `\fbox{...}`, or what follows `\boxed ` up to a dollar. */
export function hendrycksExtract(response: string): string | undefined {
  if (response.includes("\\boxed ")) return response.split("\\boxed ").at(-1)?.split("$")[0];
  const start = Math.max(response.lastIndexOf("\\boxed"), -1);
  const at = start >= 0 ? start : response.lastIndexOf("\\fbox");
  if (at < 0) return undefined;
  let depth = 0;
  for (let i = at; i < response.length; i++) {
    if (response[i] === "{") depth++;
    else if (response[i] === "}" && --depth === 0) {
      const whole = response.slice(at, i + 1);
      return whole.startsWith("\\boxed{") ? whole.slice(7, -1) : undefined;
    }
  }
  return undefined;
}
