// The import arrows: cli -> stages -> rollout, train -> model -> kernels; anyone may use data, run, verify and jobs,
// which know no tensors. A package that is not in the table may import no other, and none may import it.
// Types count as much as values. Tried on a tree of violations by tests/house/arrows.test.ts.

const textSide = ["data", "run", "verify", "jobs"];
/** What verify stands on, none of which knows another. */
const graders = ["sandbox", "answers", "instructions"];
const tensorSide = ["kernels", "model", "train", "rollout"];
const stages = ["sft", "reward-model", "dpo", "grpo", "evaluate"];

/** @type {Record<string, string[]>} package -> the packages that it may import */
const arrows = {
  ...Object.fromEntries(textSide.map((name) => [name, textSide])),
  ...Object.fromEntries(graders.map((name) => [name, ["data", "run"]])),
  verify: [...textSide, ...graders],
  view: textSide,
  kernels: textSide,
  model: ["kernels", ...textSide],
  train: ["kernels", "model", ...textSide],
  rollout: ["kernels", "model", ...textSide],
  ...Object.fromEntries(stages.map((name) => [name, [...tensorSide, ...textSide, ...graders]])),
  cli: [...stages, ...tensorSide, ...textSide, ...graders, "view"],
};

const anyOf = (names) => `(${names.join("|")})`;

module.exports = {
  forbidden: [
    ...Object.entries(arrows).map(([name, allowed]) => ({
      name: `arrows-of-${name}`,
      comment: `${name} may import ${allowed.join(", ")}: see the table in .dependency-cruiser.cjs.`,
      severity: "error",
      from: { path: `^packages/${name}/` },
      to: { path: "^packages/", pathNot: `^packages/${anyOf([name, ...allowed])}/` },
    })),
    {
      name: "package-without-arrows",
      comment: "A new package gets its line in the table of .dependency-cruiser.cjs first.",
      severity: "error",
      from: { path: "^packages/([^/]+)/", pathNot: `^packages/${anyOf(Object.keys(arrows))}/` },
      to: { path: "^packages/", pathNot: "^packages/$1/" },
    },
    {
      name: "no-deep-import",
      comment: "Import the package by its name: what index.ts does not export is private.",
      severity: "error",
      from: { path: "^packages/([^/]+)/" },
      to: { path: "^packages/[^/]+/", pathNot: ["^packages/$1/", "^packages/[^/]+/src/index\\.ts$"] },
    },
    {
      name: "no-deep-import-from-tests",
      comment: "Tests across packages use what users use.",
      severity: "error",
      from: { path: "^tests/" },
      to: { path: "^packages/[^/]+/src/", pathNot: "^packages/[^/]+/src/index\\.ts$" },
    },
    {
      name: "no-test-code-in-sources",
      severity: "error",
      from: { path: "^packages/[^/]+/src/" },
      to: { path: ["^tests/", "^scripts/", "^packages/[^/]+/(test|bench|scripts)/"] },
    },
    {
      name: "addon-loads-in-one-file",
      comment:
        "Only packages/kernels/src/native.ts may load the addon, hence use node:module or a .node file (and the kernels' tests that try to crash it).",
      severity: "error",
      from: { path: "^packages/", pathNot: "^packages/kernels/(src/native\\.ts$|test/child/)" },
      to: { path: ["^(node:)?module$", "\\.node$"] },
    },
    {
      name: "no-cycles",
      comment:
        "Modules that load each other. Types that name each other (Tensor, Scope) are no cycle at run time.",
      severity: "error",
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ["type-only"] } },
    },
    { name: "no-unresolvable", severity: "error", from: {}, to: { couldNotResolve: true } },
  ],
  options: {
    tsPreCompilationDeps: true,
    doNotFollow: { path: "node_modules" },
    exclude: { path: "^packages/[^/]+/(dist|build)/|/fixtures/" },
    enhancedResolveOptions: {
      exportsFields: ["exports"],
      conditionNames: ["@posttrain/source", "import", "require", "node", "default"],
    },
  },
};
