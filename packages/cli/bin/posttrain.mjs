#!/usr/bin/env node
// `npx posttrain`. npm links a command when it installs, which is before dist/ is built: so this file is always there.
import { existsSync } from "node:fs";

const main = new URL("../dist/main.js", import.meta.url);
if (existsSync(main)) {
  await import(main.href);
} else {
  console.error("posttrain is not built yet. In the root of the repository, run: npm start");
  process.exitCode = 1;
}
