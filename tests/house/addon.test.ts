// The native library loads in one file. That only it imports node:module is an arrow; dlopen needs no import.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

test("only packages/kernels/src/native.ts mentions dlopen or the addon's file", () => {
  const sources = readdirSync("packages", { recursive: true, encoding: "utf8" }).filter((path) =>
    /^[^/]+\/src\/.*\.ts$/.test(path),
  );
  const loaders = sources.filter((path) =>
    /dlopen|\.node["'`]/.test(readFileSync(join("packages", path), "utf8")),
  );
  expect(loaders).toEqual(["kernels/src/native.ts"]);
});
