// Maps a pipe that nobody writes to, and prints what that throws: pipe.ts <path>.
import { execFileSync } from "node:child_process";
import { MappedFile } from "../../src/index.js";

const path = process.argv[2] as string;
execFileSync("mkfifo", [path]);
try {
  new MappedFile(path);
} catch (error) {
  process.stdout.write(String(error));
}
