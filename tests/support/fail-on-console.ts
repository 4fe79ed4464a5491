// Console output fails a test: output nobody asserts is noise, or a warning nobody reads. A test that expects some
// takes the method over and asserts what was said: `const warn = vi.spyOn(console, "warn").mockReturnValue()`.
import { afterEach } from "vitest";

const methods = ["debug", "error", "info", "log", "trace", "warn"] as const;

/** For the tests of one file. */
export function failOnConsole(): void {
  const said: string[] = [];
  for (const method of methods) {
    console[method] = (...parts: unknown[]): void => {
      said.push(`console.${method}: ${parts.map(String).join(" ")}`);
    };
  }
  afterEach(() => {
    if (said.length > 0) throw new Error(`undeclared console output:\n${said.splice(0).join("\n")}`);
  });
}
