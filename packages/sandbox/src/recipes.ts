/**
 * How each language becomes something to run: a compile command whose standard output is the program (so that nothing
 * is ever written on the host), and the command that runs it. Both run in a sandbox.
 */
import type { Program } from "./bubblewrap.js";
import { goPackages } from "./go-packages.js";
import type { Limits } from "./limits.js";
import type { Language } from "./task.js";
import { cppTool, goTool, javascriptTool, javaTool, pythonTool, rustTool } from "./toolchains.js";
import { toCommonJs } from "./transpile.js";

/** A program but for its input. */
export type Runnable = Omit<Program, "stdin">;

export interface Recipe {
  /** Undefined for languages that run from source. */
  readonly compile?: Runnable;
  readonly run: (compiled: Uint8Array) => Runnable;
}

/** Further sources, by their path. */
export type Files = Readonly<Record<string, string>>;

const built = "/sandbox/program";

export async function recipeOf(
  language: Exclude<Language, "sql">,
  source: string,
  limits: Limits,
  more: Files = {},
): Promise<Recipe> {
  switch (language) {
    case "python": {
      const { argv, folders } = await pythonTool();
      return {
        run: () => ({
          argv: [...argv, "/sandbox/main.py"],
          folders,
          files: { "/sandbox/main.py": source },
          memory: "address-space",
          stackMb: 64,
        }),
      };
    }
    case "javascript":
    case "typescript": {
      const { argv, folders } = await javascriptTool();
      const code = await toCommonJs(source, language);
      return {
        run: () => ({
          argv: [...argv, "/sandbox/main.cjs"],
          folders,
          files: { "/sandbox/main.cjs": code },
          memory: "data",
        }),
      };
    }
    case "bash":
      return {
        run: () => ({
          argv: ["/bin/bash", "/sandbox/main.sh"],
          files: { "/sandbox/main.sh": source, ...more },
          memory: "address-space",
        }),
      };
    case "cpp": {
      const { argv } = await cppTool();
      return {
        compile: {
          argv: shell(
            `${argv[0]} -O2 -std=c++17 -pipe -o /tmp/program /sandbox/main.cpp && cat /tmp/program`,
          ),
          files: { "/sandbox/main.cpp": source },
          memory: "address-space",
        },
        run: (compiled) => ({
          argv: [built],
          files: { [built]: compiled },
          memory: "address-space",
          stackMb: 256,
        }),
      };
    }
    case "rust": {
      const { argv, folders } = await rustTool();
      return {
        compile: {
          argv: shell(
            `${argv.join(" ")} --edition 2021 -O -A warnings -o /tmp/program /sandbox/main.rs && cat /tmp/program`,
          ),
          folders,
          files: { "/sandbox/main.rs": source },
          memory: "data",
        },
        run: (compiled) => ({
          argv: [built],
          files: { [built]: compiled },
          memory: "address-space",
          stackMb: 256,
        }),
      };
    }
    case "go": {
      const { argv, folders, env } = await goTool();
      const files = { "/sandbox/main.go": source, ...more };
      const { importcfg, folder } = await goPackages(Object.values(files).flatMap(importsOf));
      const tool = `${argv[0]} tool`;
      return {
        compile: {
          argv: shell(
            `${tool} compile -importcfg /sandbox/importcfg -p main -complete -o /tmp/main.o ${Object.keys(files).join(" ")} && ` +
              `${tool} link -s -w -importcfg /sandbox/importcfg -o /tmp/program /tmp/main.o && cat /tmp/program`,
          ),
          folders: [...folders, folder],
          env: { ...env, GOCACHE: "/tmp/go", GOTOOLCHAIN: "local", GOFLAGS: "-mod=mod" },
          files: { ...files, "/sandbox/importcfg": importcfg },
          memory: "data",
        },
        run: (compiled) => ({ argv: [built], files: { [built]: compiled }, memory: "data" }),
      };
    }
    case "java": {
      const { argv, folders } = await javaTool();
      const [sealed] = Object.keys(more).map((path) => path.slice("/sandbox/".length, -".java".length));
      const main = sealed?.replace("/", ".") ?? mainClassOf(source);
      const file = `${/\bpublic\s+(?:final\s+|abstract\s+)*(?:class|interface|enum|record)\s+(\w+)/.exec(source)?.[1] ?? (sealed ? "Main" : main)}.java`;
      const small = "-XX:+UseSerialGC -XX:TieredStopAtLevel=1 -XX:-UsePerfData -Xshare:auto";
      const heap = `-Xmx${Math.floor(0.6 * limits.memoryMb)}m`;
      return {
        compile: {
          argv: shell(
            `${argv[0]}/javac -J-XX:+UseSerialGC -J-XX:TieredStopAtLevel=1 -J-XX:-UsePerfData -J-Xmx512m -proc:none -nowarn ` +
              `-encoding UTF-8 -d /tmp/classes /sandbox/${file} ${Object.keys(more).join(" ")} >&2 && ${argv[0]}/jar --create --no-compress -C /tmp/classes .`,
          ),
          folders,
          files: { [`/sandbox/${file}`]: source, ...more },
          memory: "data",
        },
        run: (compiled) => ({
          argv: [`${argv[0]}/java`, ...small.split(" "), "-ea", "-Xss64m", heap, "-cp", `${built}.jar`, main],
          folders,
          files: { [`${built}.jar`]: compiled },
          memory: "data",
        }),
      };
    }
  }
}

/** What the preprocessor makes of C++, on standard output. */
export async function preprocess(source: string): Promise<Runnable> {
  const { argv } = await cppTool();
  return {
    argv: [...argv, "-E", "-std=c++17", "/sandbox/candidate.cpp"],
    files: { "/sandbox/candidate.cpp": source },
    memory: "address-space",
  };
}

/** Compilers are trusted with more than programs are: they are not what is graded. */
export function compileLimits(limits: Limits): Limits {
  return {
    ...limits,
    cpuSeconds: 60,
    wallSeconds: 300,
    memoryMb: Math.max(2048, limits.memoryMb),
    processes: 128,
    outputBytes: 128 << 20,
    fileMb: 256,
  };
}

function shell(command: string): string[] {
  return ["/bin/sh", "-c", command];
}

/** The class with a main method: the last one declared before it. */
function mainClassOf(source: string): string {
  const main = /\bstatic\s+(?:final\s+)?void\s+main\s*\(/.exec(source)?.index ?? source.length;
  const classes = [
    ...source.slice(0, main).matchAll(/^[ \t]*(?:(?:public|final|abstract)\s+)*class\s+(\w+)/gm),
  ];
  // A nested class that ends before main would be indented; the outermost ones are not.
  const outer = classes.filter((match) => /^\S/.test(match[0]));
  return (outer.at(-1) ?? classes.at(-1))?.[1] ?? "Main";
}

function importsOf(source: string): string[] {
  const imports = new Set<string>();
  for (const block of source.matchAll(/^import\s*\(([^)]*)\)/gm)) {
    for (const path of block[1]!.matchAll(/"([^"\n]+)"/g)) imports.add(path[1]!);
  }
  for (const one of source.matchAll(/^import\s+(?:[\w.]+\s+)?"([^"\n]+)"/gm)) imports.add(one[1]!);
  return [...imports];
}
