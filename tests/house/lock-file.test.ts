// `npm ci` refuses a lock file that lacks packages of other platforms, and npm drops those that its registry does not have:
// then an older version of their parent, one that is there for all platforms, is the way out.
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";

const text = readFileSync("package-lock.json", "utf8");

test("package-lock.json has the packages of every platform", () => {
  const { packages } = JSON.parse(text) as {
    packages: Record<string, { readonly optionalDependencies?: Record<string, string> }>;
  };
  const missing = Object.entries(packages).flatMap(([path, { optionalDependencies = {} }]) =>
    Object.keys(optionalDependencies).filter(
      (name) => !(`${path}/node_modules/${name}` in packages || `node_modules/${name}` in packages),
    ),
  );
  expect(missing).toEqual([]);
});

test("package-lock.json names no registry", () => {
  expect(text).not.toMatch(/"resolved": "http/);
});
