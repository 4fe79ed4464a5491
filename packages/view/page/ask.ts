// Questions to the server that this page came from. What has not changed since it was asked last is not sent again.
import type { ErrorAnswer } from "../src/api.js";

interface Known {
  readonly tag: string;
  readonly answer: unknown;
}

const known = new Map<string, Known>();
const mostKnown = 20;

/** What the server says is wrong with a file or a question. */
export class Refused extends Error {}

/** The same object as before where nothing has changed. Throws Refused; a TypeError where nobody answers. */
export async function ask<Answer>(
  name: string,
  query: Readonly<Record<string, string>> = {},
): Promise<Answer> {
  const given = Object.entries(query).filter(([, value]) => value !== "");
  const path = `/api/${name}?${new URLSearchParams(given)}`;
  const before = known.get(path);
  const response = await fetch(path, {
    cache: "no-store",
    headers: before === undefined ? {} : { "if-none-match": before.tag },
  });
  if (response.status === 304 && before !== undefined) return before.answer as Answer;
  const answer: unknown = await response.json();
  if (!response.ok) throw new Refused((answer as ErrorAnswer).error);
  known.delete(path);
  known.set(path, { tag: response.headers.get("etag") ?? "", answer });
  for (const oldest of known.keys()) {
    if (known.size <= mostKnown) break;
    known.delete(oldest);
  }
  return answer as Answer;
}
