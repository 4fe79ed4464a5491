/**
 * What makes a run the run it is: the values that its bits are a function of. Two sets are compared key by key; a run
 * goes on only with the same ones, or with each difference accepted by name.
 */
import { canonicalJson, UserError } from "@posttrain/data";

/** Key to plain JSON: config keys that change the bits, digests of what was read (data, model, tokenizer, chat_template). */
export type Identity = Readonly<Record<string, unknown>>;

export interface Difference {
  readonly key: string;
  /** undefined: the key was not there. */
  readonly before: unknown;
  readonly now: unknown;
}

export function differences(before: Identity, now: Identity): readonly Difference[] {
  const keys = [...new Set([...Object.keys(before), ...Object.keys(now)])];
  const text = (value: unknown): string => (value === undefined ? "" : canonicalJson(value));
  return keys
    .map((key) => ({ key, before: before[key], now: now[key] }))
    .filter((difference) => text(difference.before) !== text(difference.now));
}

/**
 * The differences, when all of them are accepted. Throws UserError `identity_changed` with the list of those that are not, and
 * `nothing_to_accept` for an accepted key that has not changed: it would hide the next typing error.
 */
export function acceptDifferences(
  checkpoint: string,
  before: Identity,
  now: Identity,
  accepted: readonly string[],
): readonly Difference[] {
  const found = differences(before, now);
  const refused = found.filter(({ key }) => !accepted.includes(key));
  if (refused.length > 0) {
    const list = refused.map(
      ({ key, ...values }) => `${key} was ${show(values.before)}, is now ${show(values.now)}`,
    );
    throw new UserError(
      "identity_changed",
      `${checkpoint} belongs to another run: ${list.join("; ")}. Going on would give neither run's result. Put back what it was, start a ` +
        `new run in another output_dir, or accept: ${refused.map(({ key }) => `--accept_change ${key}`).join(" ")}`,
    );
  }
  const idle = accepted.filter((key) => !found.some((difference) => difference.key === key));
  if (idle.length > 0) {
    const changed =
      found.length === 0 ? "Nothing has changed" : `Changed: ${found.map(({ key }) => key).join(", ")}`;
    throw new UserError(
      "nothing_to_accept",
      `--accept_change ${idle.join(", ")}: not among what differs from ${checkpoint}. ${changed}; leave the flag out.`,
    );
  }
  return found;
}

/** A value for people. */
export function show(value: unknown): string {
  if (value === undefined) return "not set";
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return /^[0-9a-f]{64}$/.test(text) ? `SHA-256 ${text.slice(0, 12)}...` : text;
}
