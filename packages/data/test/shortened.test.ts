// What is cut of a long message: never what went wrong.
import { shortened } from "@posttrain/data";
import { expect, test } from "vitest";

const frames = (frame: string): string => frame.repeat(40);

test.each([
  [
    "Python",
    `Traceback (most recent call last):\n${frames('  File "/sandbox/main.py", line 3, in g\n    g(n - 1)\n')}KeyError: 'helps'`,
    "KeyError: 'helps'",
  ],
  [
    "Python, a long message",
    `Traceback (most recent call last):\n${frames("  File\n    g()\n")}ValueError: helps ${"x".repeat(5000)}`,
    "ValueError: helps",
  ],
  [
    "JavaScript",
    `/sandbox/main.cjs:1\n${"x".repeat(400)}\n^\n\nReferenceError: helps is not defined\n${frames("    at g (/sandbox/main.cjs:1:1)\n")}\nNode.js v20`,
    "ReferenceError: helps is not defined",
  ],
  [
    "Java",
    `${"Picked up options\n".repeat(40)}Exception in thread "main" java.lang.X: helps\n${frames("\tat Main.g(Main.java:3)\n")}`,
    'Exception in thread "main" java.lang.X: helps',
  ],
  [
    "Java, a cause",
    `Exception in thread "main" X\n${frames("\tat A\n")}Caused by: Y: helps\n${frames("\tat A\n")}`,
    "Caused by: Y: helps",
  ],
  [
    "Rust",
    `${"said\n".repeat(200)}thread 'main' panicked at src/main.rs:2:5:\nhelps\nnote: run\n${frames("  at x\n")}`,
    "panicked at src/main.rs:2:5:\nhelps",
  ],
  [
    "Go",
    `${"said\n".repeat(200)}panic: helps\n\ngoroutine 1\n${frames("main.g()\n\t/x.go\n")}`,
    "panic: helps",
  ],
  ["no message", `${"said\n".repeat(500)}last words`, "last words"],
])("%s", (_, said, helps) => {
  for (const most of [300, 1000]) {
    const cut = shortened(said, most);
    expect(cut).toContain(helps);
    expect(cut.slice(0, 20)).toBe(said.slice(0, 20));
    expect(cut.length).toBeLessThan(most + 10);
  }
});

test("what is short stays", () => {
  expect(shortened("Error: a", 300)).toBe("Error: a");
});
