/**
 * What one comparison may cost. Whatever passes these caps is answered from the text alone or not at all: the parser
 * never recurses deeper, no number grows longer, no exponent is multiplied out.
 */

/** Longest answer that is parsed as mathematics, in characters; MATH's longest reference answer has 159. */
export const MAX_ANSWER_LENGTH = 4_000;

/** Longest response whose end is searched for an answer; of a longer one the last part is read. */
export const MAX_RESPONSE_LENGTH = 200_000;

/** Nesting of groups, roots, powers and signs. */
export const MAX_DEPTH = 64;

/** Parts of one expression. */
export const MAX_NODES = 3_000;

/** Items of a list, cells of a matrix, pieces of a union. */
export const MAX_ITEMS = 400;

/** Length of an exact numerator or denominator. */
export const MAX_BITS = 60_000;

/** n! and binomials are multiplied out up to here. */
export const MAX_FACTORIAL = 2_000;

/** Terms of a sum or product that are added up. */
export const MAX_TERMS = 400;

/** Work of one comparison, in operations of the evaluators. */
export const MAX_STEPS = 60_000;

/** The text is not mathematics that this parser reads, or passes a cap. Never leaves the package. */
export class Unreadable extends Error {
  override readonly name = "Unreadable";
}

/** An expression has no value (division by zero, overflow, a cap): it agrees with nothing. Thrown often, hence shared. */
export class NoValue extends Error {
  override readonly name = "NoValue";
}

export const noValue = new NoValue("no value");

/** A comparison spends more than MAX_STEPS: the verdict is `timeout`. */
export class OverBudget extends Error {
  override readonly name = "OverBudget";
}

export const overBudget = new OverBudget("over budget");
