// What a person reads who lacks a compiler: one message that names what is missing and the command that helps.
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";

test.each([
  ["apt-get", "  Debian, Ubuntu: sudo apt-get install -y g++ make"],
  ["dnf", "  Fedora, RHEL: sudo dnf install -y gcc-c++ make"],
  ["xcode-select", "  macOS: xcode-select --install"],
])("without compiler and make, on a machine with %s", (tool, remedy) => {
  const path = mkdtempSync(join(tmpdir(), "posttrain-path-"));
  writeFileSync(join(path, tool), "");
  const start = spawnSync(process.execPath, ["scripts/start.mjs"], { env: { PATH: path }, encoding: "utf8" });
  rmSync(path, { recursive: true });
  expect(start.status).toBe(1);
  expect(start.stdout).toBe("");
  expect(start.stderr.trimEnd().split("\n")).toEqual([
    "posttrain builds its kernels here and needs a C++17 compiler (c++, g++ or clang++; CXX names another) and make.",
    remedy,
    "",
    "Stopped while checking the machine.",
  ]);
});

test("npm test says the same and closes with its count", () => {
  const run = spawnSync(process.execPath, ["scripts/test.mjs"], { env: { PATH: "" }, encoding: "utf8" });
  expect(run.status).toBe(1);
  expect(run.stdout).toContain("  Homebrew: brew install llvm make\n");
  expect(run.stdout).toMatch(/\n0 passed, 1 failed, 0 skipped\n$/);
});
