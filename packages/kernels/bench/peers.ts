// OpenBLAS and oneDNN at the same products: peers.cpp, built here when it is first asked for, once for each library that is installed
// (Debian: libopenblas-dev, libdnnl-dev). No part of the product.
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, statSync } from "node:fs";
import { join } from "node:path";

export type Direction = "forward" | "data gradient" | "weight gradient";

export interface PeerTiming {
  readonly library: string;
  readonly seconds: number;
  /** fp32 operations a second that the same program found. */
  readonly peak: number;
  readonly share: number;
  readonly cpuShare: number;
}

const libraries = [
  { library: "OpenBLAS", define: "PEER_OPENBLAS", link: "-lopenblas", debian: "libopenblas-dev" },
  { library: "oneDNN", define: "PEER_ONEDNN", link: "-ldnnl", debian: "libdnnl-dev" },
];

const source = join(process.cwd(), "packages/kernels/bench/peers.cpp");
const folder = join(process.cwd(), "packages/kernels/build/bench");
const programs = new Map<string, string | undefined>();

/** The program of a library, or undefined where it cannot be built; says so once. */
function programOf({ library, define, link, debian }: (typeof libraries)[number]): string | undefined {
  if (programs.has(library)) return programs.get(library);
  const program = join(folder, `peer-${library}`);
  let built: string | undefined = program;
  if (!existsSync(program) || statSync(program).mtimeMs < statSync(source).mtimeMs) {
    mkdirSync(folder, { recursive: true });
    const flags = [
      "-O2",
      "-std=c++17",
      "-march=native",
      "-pthread",
      `-D${define}`,
      source,
      "-o",
      program,
      link,
    ];
    try {
      execFileSync(process.env["CXX"] ?? "c++", flags, { stdio: "pipe" });
    } catch {
      built = undefined;
      process.stdout.write(
        `  ${library} is not installed (Debian: apt-get install ${debian}): not measured\n`,
      );
    }
  }
  programs.set(library, built);
  return built;
}

// OpenBLAS' threads would spin for 100 ms after a product, on the core that the probe needs; and it is to choose its kernels itself.
const openBlas = { OPENBLAS_THREAD_TIMEOUT: "20", OPENBLAS_CORETYPE: undefined };

const letters = { forward: "f", "data gradient": "d", "weight gradient": "w" };

/** What each library that is here takes for a product: rows m, outputs n, inputs k. */
export async function peersOf(
  dtype: "f32" | "bf16",
  direction: Direction,
  m: number,
  n: number,
  k: number,
  threads: number,
): Promise<readonly PeerTiming[]> {
  return libraries.flatMap((one) => {
    const program = programOf(one);
    // OpenBLAS of Debian 12 has no product of bf16 that this machine's users would take for one.
    if (program === undefined || (one.library === "OpenBLAS" && dtype === "bf16")) return [];
    const count = String(threads);
    const output = execFileSync(program, [dtype, letters[direction], ...[m, n, k, threads].map(String)], {
      encoding: "utf8",
      env: { ...process.env, ...openBlas, OPENBLAS_NUM_THREADS: count, OMP_NUM_THREADS: count },
    });
    const [seconds = 0, peak = 0, share = 0, cpuShare = 0] = output.trim().split(" ").map(Number);
    return [{ library: one.library, seconds, peak, share, cpuShare }];
  });
}
