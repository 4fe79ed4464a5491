// What the agent of a language is told about itself.
import type { ProgramLanguage } from "./programs.js";

export const habits: Readonly<Record<ProgramLanguage, string>> = {
  python:
    "You write Python 3 as its standard library does: comprehensions, iterators, dictionaries, collections and itertools where they make it clearer.",
  javascript:
    "You write modern JavaScript for Node.js, read standard input with node:fs, and know where numbers end being exact.",
  typescript:
    "You write TypeScript for Node.js with types that say what values may be, read standard input with node:fs, and do without any.",
  cpp: "You write C++17 with containers and algorithms of its standard library, know which integers overflow, and use no compiler's extensions.",
  java: "You write Java 17 with one public class Main, collections, records and streams where they fit, and long where int is too small.",
  go: "You write plain Go: slices, maps, small functions, errors that are looked at, and buffered input.",
  rust: "You write safe Rust of edition 2021 with iterators, pattern matching and Result, and no crates.",
};
