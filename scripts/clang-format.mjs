// clang-format over the native sources: `node scripts/clang-format.mjs --dry-run --Werror` checks, `-i` rewrites.
// The binary comes from npm, so that everyone formats with the same version.
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { handOver, root } from "./command.mjs";

const folder = "packages/kernels/native";
const sources = readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
  .filter((path) => /\.(h|cpp|cu|cuh)$/.test(path))
  .map((path) => join(folder, path));

const clangFormat = "node_modules/clang-format-node/build/cli.js";
process.exitCode = await handOver(process.execPath, [clangFormat, ...process.argv.slice(2), ...sources]);
