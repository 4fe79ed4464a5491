/**
 * The languages' tools on this machine: where they are and which folders a sandbox needs to see of them. Asked once per
 * process and PATH, outside any sandbox, of the user's own tools.
 */
import { execFile } from "node:child_process";
import { existsSync, realpathSync } from "node:fs";
import { dirname } from "node:path";
import { UserError } from "@posttrain/data";

export interface Tool {
  readonly argv: readonly string[];
  readonly folders: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

const found = new Map<string, Promise<Tool>>();

function once(name: string, find: () => Promise<Tool>): Promise<Tool> {
  const key = `${name} on ${process.env["PATH"]}`;
  const known = found.get(key) ?? find();
  found.set(key, known);
  return known;
}

function missing(what: string, command: string): UserError {
  return new UserError(
    "no_toolchain",
    `Programs of this task need ${what}, which is not on the PATH here. Install it (Debian: ${command}), or leave such tasks out.`,
  );
}

function ask(command: string, args: readonly string[]): Promise<string | undefined> {
  return new Promise((resolve) => {
    execFile(command, args, { encoding: "utf8", timeout: 60_000 }, (error, stdout) => {
      resolve(error === null ? stdout.trim() : undefined);
    });
  });
}

/** What lies under /usr is in every sandbox. */
function beyondUsr(...paths: readonly string[]): string[] {
  return [...new Set(paths)].filter(
    (path) => path !== "/usr" && !path.startsWith("/usr/") && existsSync(path),
  );
}

export function pythonTool(): Promise<Tool> {
  return once("python", async () => {
    const script = "import sys;print(sys.executable);print(sys.prefix);print(sys.base_prefix)";
    const [executable, prefix, base] = (await ask("python3", ["-I", "-c", script]))?.split("\n") ?? [];
    if (!executable || !prefix || !base) throw missing("python3", "apt-get install python3");
    // -I: no environment, no user's packages; -B: no attempts to write beside sources.
    return { argv: [executable, "-I", "-B"], folders: beyondUsr(prefix, base) };
  });
}

export function javascriptTool(): Promise<Tool> {
  return once("javascript", async () => {
    const node = realpathSync(process.execPath);
    return { argv: [node, "--stack-size=3900"], folders: beyondUsr(node) };
  });
}

export function cppTool(): Promise<Tool> {
  return once("cpp", async () => {
    const compiler = await ask("sh", ["-c", "command -v g++"]);
    if (!compiler) throw missing("g++", "apt-get install g++");
    return { argv: [realpathSync(compiler)], folders: [] };
  });
}

export function javaTool(): Promise<Tool> {
  return once("java", async () => {
    const javac = await ask("sh", ["-c", "command -v javac"]);
    if (!javac) throw missing("javac and java", "apt-get install default-jdk-headless");
    const home = dirname(dirname(realpathSync(javac)));
    // Debian keeps a JDK's settings under /etc/java-N-openjdk and links to them.
    const security = `${home}/conf/security/java.security`;
    const settings = /^\/etc\/java[^/]*/.exec(existsSync(security) ? realpathSync(security) : "")?.[0];
    return { argv: [`${home}/bin`], folders: beyondUsr(home, ...(settings ? [settings] : [])) };
  });
}

export function goTool(): Promise<Tool> {
  return once("go", async () => {
    const root = await ask("go", ["env", "GOROOT"]);
    if (!root) throw missing("go", "apt-get install golang-go");
    return { argv: [`${root}/bin/go`], folders: beyondUsr(realpathSync(root)), env: { GOROOT: root } };
  });
}

export function rustTool(): Promise<Tool> {
  return once("rust", async () => {
    const root = await ask("rustc", ["--print", "sysroot"]);
    if (!root) throw missing("rustc", "apt-get install rustc");
    // Not by the name cc: Debian's goes through /etc/alternatives, which no sandbox has.
    const linker = await ask("sh", ["-c", "command -v cc"]);
    if (!linker) throw missing("cc, which rustc links with,", "apt-get install gcc");
    return { argv: [`${root}/bin/rustc`, "-C", `linker=${realpathSync(linker)}`], folders: beyondUsr(root) };
  });
}
