// `npm run test:mutations`: puts faults (faults.mjs) into a copy of native/, one after the other, builds each, and runs the tests that should see
// it. A fault that no test sees survives, and the run fails. Arguments pick faults by a part of their name; --no-control leaves out that the
// tests pass without a fault.
//
// The tests named with a fault are those meant to catch it; "caught by" is what did. Not part of npm test: it takes many minutes.
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { faults } from "./faults.mjs";

const root = fileURLToPath(new URL("../../../", import.meta.url));
const kernels = join(root, "packages/kernels");
const work = join(kernels, "build/mutation"); // native/ and build/ side by side, as the Makefile expects
const variant = "mutation/build/release";

function run(command, args, env = {}) {
  const { status, stdout, stderr } = spawnSync(command, args, {
    cwd: root,
    encoding: "utf8",
    env: { ...process.env, ...env },
    timeout: 300_000,
    maxBuffer: 1 << 28,
  });
  return { ok: status === 0, output: `${stdout}${stderr}` };
}

/** A copy of native/ and its release build; dependency files point into the copy, so that make builds what a fault touches. */
function prepare() {
  const built = run("make", ["-C", join(kernels, "native"), "-j2"]);
  if (!built.ok) throw new Error(built.output);
  rmSync(work, { recursive: true, force: true });
  mkdirSync(join(work, "build"), { recursive: true });
  cpSync(join(kernels, "native"), join(work, "native"), { recursive: true, preserveTimestamps: true });
  cpSync(join(kernels, "build/release"), join(work, "build/release"), {
    recursive: true,
    preserveTimestamps: true,
  });
  for (const path of readdirSync(join(work, "build/release"), { recursive: true, encoding: "utf8" })) {
    if (!path.endsWith(".d")) continue;
    const file = join(work, "build/release", path);
    const text = readFileSync(file, "utf8");
    writeFileSync(file, text.replaceAll(`${kernels}/native`, `${work}/native`));
  }
}

const build = () =>
  run("make", [
    "-C",
    join(work, "native"),
    "-j2",
    `HEADERS=${join(root, "node_modules/node-api-headers/include")}`,
    "WARNINGS=-w",
  ]);

/** The name of the first failed test, or undefined when all passed. A runner that died counts. */
function failure(tests, repeat = 1) {
  for (let i = 0; i < repeat; i++) {
    for (const args of tests) {
      const { ok, output } = run(
        process.execPath,
        [
          "node_modules/vitest/vitest.mjs",
          "run",
          "--bail",
          "1",
          "--no-color",
          "--reporter",
          "default",
          ...args,
        ],
        { POSTTRAIN_NATIVE_VARIANT: variant, NO_COLOR: "1" },
      );
      if (ok) continue;
      return /^ FAIL {2}(.*)$/m.exec(output)?.[1]?.trim() ?? `${args.join(" ")}: the runner died`;
    }
  }
  return undefined;
}

function change(file, from, to) {
  const text = readFileSync(file, "utf8");
  const parts = text.split(from);
  if (parts.length !== 2) throw new Error(`${relative(work, file)}: ${parts.length - 1} places for\n${from}`);
  writeFileSync(file, parts.join(to));
  return () => writeFileSync(file, text);
}

prepare();
const wanted = process.argv.slice(2).filter((part) => part !== "--no-control");
const chosen = faults.filter(({ name }) => wanted.length === 0 || wanted.some((part) => name.includes(part)));
const results = [];
const clean = [...new Set(chosen.flatMap(({ tests }) => tests.map((args) => JSON.stringify(args))))];
if (!process.argv.includes("--no-control")) {
  const broken = clean.map((args) => failure([JSON.parse(args)])).find((name) => name !== undefined);
  if (broken !== undefined) throw new Error(`without any fault: ${broken}`);
  console.log(`all tests pass without a fault (${clean.length} runs)`);
}
for (const { name, file, from, to, make, tests, repeat } of chosen) {
  const path = join(work, "native", file);
  const undo = [change(path, from, to)];
  if (make !== undefined) undo.push(change(join(work, "native/cpu/gemm/gemm.cpp"), make.from, make.to));
  const built = build();
  const caught = built.ok ? failure(tests, repeat) : `the compiler:\n${built.output.slice(-1500)}`;
  results.push({ name, caught });
  console.log(
    `${caught === undefined ? "SURVIVED" : "caught  "}  ${name}${caught === undefined ? "" : `\n            ${caught}`}`,
  );
  for (const restore of undo.reverse()) restore();
  if (!existsSync(path)) throw new Error(path);
}
rmSync(work, { recursive: true, force: true });
const survived = results.filter(({ caught }) => caught === undefined).length;
console.log(`\n${results.length - survived} caught, ${survived} survived`);
process.exitCode = survived === 0 ? 0 : 1;
