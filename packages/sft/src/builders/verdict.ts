// What somebody who judges says at the end of a reply: a word of several, or a number.
import { drop, keep, type Outcome } from "./outcome.js";
import type { Question, RoleName, Roles, Said } from "./roles.js";

/** The last line "NAME: WORD" of a reply, in Markdown or not; undefined: there is none. */
export function wordAfter(said: string, name: string, words: readonly string[]): string | undefined {
  const line = new RegExp(
    String.raw`(?<!\p{L})${name}[\W_]*?[:=][\W_]*(${words.join("|")})(?![\p{L}\d]|[.,/]\d)`,
    "giu",
  );
  return [...said.matchAll(line)].at(-1)?.[1]?.toLowerCase();
}

/** How often somebody whose reply has no verdict is asked once more. */
const tries = 2;

/**
 * Asks until `read` finds a verdict in the reply, twice at most. Dropped: `no_verdict`; an outcome without reply is handed on.
 */
export async function askForVerdict<T>(
  roles: Roles,
  role: RoleName,
  question: Question,
  read: (said: string) => T | undefined,
): Promise<Outcome<{ readonly verdict: T; readonly said: Said }>> {
  for (let sample = 0; sample < tries; sample++) {
    const reply = await roles.ask(role, { ...question, sample });
    if ("unanswered" in reply) return reply;
    if ("dropped" in reply) continue;
    const [said] = reply.kept as readonly [Said];
    const verdict = read(said.text);
    if (verdict !== undefined) return keep({ verdict, said });
  }
  return drop("no_verdict");
}
