// posttrain's own version: of its package.json.
import { readFileSync } from "node:fs";

export function version(): string {
  const { version: own } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as {
    version: string;
  };
  return own;
}
