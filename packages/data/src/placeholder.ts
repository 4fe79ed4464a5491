/**
 * What stands in the place of a file that was never fetched: a git-lfs pointer, a saved web page, nothing. Read as what it should be it is
 * a riddle ("a header of 7306086968439432566 bytes"), or worse, a chat template that renders.
 */
import { UserError } from "./user-error.js";

/** As much of a file as {@link refusePlaceholder} looks at. */
export const placeholderBytes = 512;

/** UserError `not_fetched` where a file that begins with `start` is not itself. */
export function refusePlaceholder(path: string, start: string | Uint8Array): void {
  const text = typeof start === "string" ? start.slice(0, placeholderBytes) : latin1(start);
  const cause = causeOf(text);
  if (cause !== undefined) throw new UserError("not_fetched", `${path} ${cause}`);
}

function causeOf(text: string): string | undefined {
  if (text.startsWith("version https://git-lfs.github.com/spec/")) {
    const size = /^size (\d+)$/m.exec(text)?.[1];
    return (
      `is a git-lfs pointer, not the file itself${size === undefined ? "" : ` (which has ${Number(size).toLocaleString("en-US")} bytes)`}: ` +
      "it was cloned without git-lfs. Run git lfs install and git lfs pull in the folder, or download the file."
    );
  }
  if (/^\s*(?:<!doctype html|<html)/i.test(text)) {
    return "is a web page, not the file itself: the download got an error or a login page. Download the file again.";
  }
  return undefined;
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, placeholderBytes)).toString(
    "latin1",
  );
}
