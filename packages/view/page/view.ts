// What stands below the head of the page.
import type { RunAnswer } from "../src/api.js";

export interface View {
  readonly element: HTMLElement;
  /** Once at first, then whenever the page looks for news. */
  update(run: RunAnswer): Promise<void>;
}

/** What the address says behind its #: a view's name, what it shows, and how it is filtered. */
export interface Place {
  readonly name: string;
  readonly parts: readonly string[];
  readonly query: URLSearchParams;
}

export function placeOf(hash: string): Place {
  const [path = "", query = ""] = hash.replace(/^#/, "").split("?", 2);
  const [name = "", ...parts] = path.split("/").map(decoded);
  return { name: name === "" ? "figures" : name, parts, query: new URLSearchParams(query) };
}

export function linkTo(name: string, ...parts: readonly (string | number)[]): string {
  return `#${[name, ...parts].map((part) => encodeURIComponent(part)).join("/")}`;
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
