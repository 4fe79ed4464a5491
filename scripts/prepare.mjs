// From a bare clone to something that runs: what the machine must have, then packages, native addon, TypeScript.
// Uses Node alone, because node_modules may not be there yet. Each step is quick when nothing changed.
import { existsSync, readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { delimiter, join } from "node:path";
import { capture, root } from "./command.mjs";

/**
 * @typedef {{ ok: boolean, output: string }} Outcome
 * @typedef {{ name: string, essential: boolean, run: () => Promise<Outcome> }} Step
 *   essential: nothing after it can work when it fails
 */

/** @type {readonly Step[]} */
export const steps = [
  { name: "checking the machine", essential: true, run: checkMachine },
  { name: "installing packages", essential: true, run: install },
  { name: "building kernels", essential: false, run: buildKernels },
  { name: "compiling TypeScript", essential: false, run: compile },
];

/** @returns {Promise<Outcome>} */
async function checkMachine() {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  if (major < 20 || (major === 20 && minor < 19)) {
    return {
      ok: false,
      output:
        `posttrain needs Node.js 20.19 or newer; this is ${process.version}.\n` +
        "  nvm install 22    or see https://nodejs.org/en/download",
    };
  }
  const missing = [];
  if ((await findCompiler()) === undefined)
    missing.push("a C++17 compiler (c++, g++ or clang++; CXX names another)");
  if (!onPath("make")) missing.push("make");
  if (missing.length === 0) return { ok: true, output: "" };
  const remedies = [
    { tool: "apt-get", system: "Debian, Ubuntu", command: "sudo apt-get install -y g++ make" },
    { tool: "dnf", system: "Fedora, RHEL", command: "sudo dnf install -y gcc-c++ make" },
    { tool: "xcode-select", system: "macOS", command: "xcode-select --install" },
    { tool: "brew", system: "Homebrew", command: "brew install llvm make" },
  ];
  const here = remedies.find(({ tool }) => onPath(tool));
  const lines = (here === undefined ? remedies : [here]).map(
    (remedy) => `  ${remedy.system}: ${remedy.command}`,
  );
  return {
    ok: false,
    output: `posttrain builds its kernels here and needs ${missing.join(" and ")}.\n${lines.join("\n")}`,
  };
}

/** The first C++ compiler that takes C++17: CXX, c++, g++, clang++. */
async function findCompiler() {
  const names = process.env["CXX"] === undefined ? ["c++", "g++", "clang++"] : [process.env["CXX"]];
  const input = "#include <cstdint>\ninline constexpr int x = 1; static_assert(x == 1);\n";
  for (const name of names) {
    const compiled = await capture(name, ["-std=c++17", "-fsyntax-only", "-x", "c++", "-"], { input });
    if (compiled.ok) return name;
  }
  return undefined;
}

/** @param {string} program */
function onPath(program) {
  return (process.env["PATH"] ?? "").split(delimiter).some((folder) => existsSync(join(folder, program)));
}

/** @returns {Promise<Outcome>} */
async function install() {
  if (isInstalled()) return { ok: true, output: "" };
  return capture("npm", ["ci", "--no-fund", "--no-audit", "--loglevel=error"]);
}

/**
 * Whether node_modules holds what package-lock.json asks for. npm writes what it installed into
 * node_modules/.package-lock.json, last; packages for other platforms are absent from it.
 */
function isInstalled() {
  const [wanted, found] = ["package-lock.json", "node_modules/.package-lock.json"].map((path) =>
    existsSync(join(root, path)) ? JSON.parse(readFileSync(join(root, path), "utf8")).packages : undefined,
  );
  if (found === undefined) return false;
  return Object.entries(wanted).every(([path, { version, bin, optional, devOptional }]) => {
    if (path === "" || ((optional || devOptional) && !(path in found))) return true;
    return found[path]?.version === version && JSON.stringify(found[path].bin) === JSON.stringify(bin);
  });
}

/** @returns {Promise<Outcome>} */
async function buildKernels() {
  const folder = "packages/kernels/native";
  if (!existsSync(join(root, folder, "Makefile")))
    return { ok: false, output: `${folder}/Makefile is missing.` };
  return make("kernels");
}

/**
 * Makes a target of packages/kernels/native/Makefile.
 * @param {string} target
 */
export async function make(target) {
  const compiler = (await findCompiler()) ?? "c++";
  const args = [
    "--no-print-directory",
    "-C",
    "packages/kernels/native",
    `-j${availableParallelism()}`,
    target,
  ];
  return capture("make", args, { env: { CXX: compiler } });
}

/** @returns {Promise<Outcome>} */
async function compile() {
  return capture(process.execPath, ["node_modules/@typescript/native/bin/tsc", "-b"]);
}
