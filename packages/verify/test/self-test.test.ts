/** The self-test: canaries that are graded as they must be, and one that is not. */

import { languages } from "@posttrain/sandbox";
import { expect, test } from "vitest";
import { canaryGroups } from "../src/canaries.js";
import { selfTest, verifierNames } from "../src/index.js";

test("every verifier and every language has its canaries: right, wrong and hostile", () => {
  expect(new Set(canaryGroups.map(({ verifier }) => verifier))).toEqual(new Set(verifierNames));
  expect(new Set(canaryGroups.flatMap(({ language }) => language ?? []))).toEqual(new Set(languages));
  for (const { verifier, variant, responses } of canaryGroups) {
    const kinds = new Set(responses.map(([kind]) => kind));
    expect(kinds.size, `${verifier} ${variant}`).toBe(verifier === "checker" ? 2 : 3);
  }
});

test("answers, instructions and Python hold here", async () => {
  const seen: string[] = [];
  const report = await selfTest({
    verifiers: verifierNames.filter((name) => name !== "checker"),
    languages: ["python"],
    onGroup: ({ verifier }) => seen.push(verifier),
  });
  const failed = report.groups.filter(({ state }) => state === "failed");
  expect(failed).toEqual([]);
  expect(report.ok).toBe(true);
  expect(seen).toHaveLength(report.groups.length);
  // What needs nothing installed is never missing.
  for (const { verifier, route, state } of report.groups)
    if (route !== "native") expect([verifier, state]).toEqual([verifier, "proven"]);
  if (!report.sandbox.proven) expect(report.sandbox.remedy).toMatch(/apt-get install|sysctl/);
});

test("a canary that is graded wrongly fails the test", async () => {
  const group = canaryGroups.find(({ verifier }) => verifier === "exact")!;
  const before = group.responses[0]!;
  (group.responses as [string, string][])[0] = ["right", "something else"];
  try {
    const report = await selfTest({ verifiers: ["exact"] });
    expect(report.ok).toBe(false);
    expect(report.groups[0]).toMatchObject({
      state: "failed",
      canaries: [{ kind: "right", outcome: "fail", holds: false }, { holds: true }, { holds: true }],
    });
  } finally {
    (group.responses as (readonly [string, string])[])[0] = before;
  }
});
