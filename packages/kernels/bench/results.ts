// Rows of the benchmark: printed as a table, appended to results.csv.
import { execFileSync } from "node:child_process";
import { appendFileSync, existsSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import type { Device } from "@posttrain/kernels";
import type { Limit, Measured } from "./measure.js";

export interface Row {
  readonly group: string;
  readonly what: string;
  readonly direction?: string;
  readonly dtype: string;
  readonly shape: string;
  /** Whose: ours, or a library that was timed in the same run. */
  readonly library?: string;
  readonly path: string;
  readonly threads: number;
  readonly milliseconds: number;
  /** How much it did a second. */
  readonly rate: number;
  readonly unit: "GFLOP/s" | "GB/s" | "tokens/s" | "rows/s" | "x" | "1/us";
  /** What the rate is held against, and what that was in this run. */
  readonly roof: string;
  readonly roofRate: number;
  /** Median of the ratios to the roof, by the clock and by the processor time of both. */
  readonly share: number;
  readonly cpuShare: number;
  /** The least share that is wanted. */
  readonly target?: number | undefined;
  /** Why it is not met although the share is reached, or what else a reader must know. */
  readonly remark?: string | undefined;
}

/** A row of what was held against `limit`, in G(FLOP or bytes) a second. */
export function rowOf(
  device: Device,
  measured: Measured,
  names: Pick<Row, "group" | "what" | "dtype" | "shape"> & { readonly direction: string },
  limit: Limit = "fp32 peak",
): Row {
  return {
    ...names,
    path: device.path,
    threads: device.threads,
    milliseconds: 1000 * measured.seconds,
    rate: measured.rate / 1e9,
    unit: limit === "fp32 peak" || limit === "AMX peak" ? "GFLOP/s" : "GB/s",
    roof: limit,
    roofRate: measured.roof / 1e9,
    share: measured.share,
    cpuShare: measured.cpuShare,
  };
}

const results = join(process.cwd(), "packages/kernels/bench/results.csv");
const columns = [
  "date",
  "commit",
  "cpu",
  "path",
  "threads",
  "group",
  "what",
  "direction",
  "dtype",
  "shape",
  "library",
  "milliseconds",
  "rate",
  "unit",
  "roof",
  "roof_rate",
  "share",
  "cpu_share",
  "target",
  "met",
] as const;

export const processor = (cpus()[0]?.model ?? "unknown").replaceAll(",", " ").trim();
const commit = execFileSync("git", ["describe", "--always", "--dirty"], { encoding: "utf8" }).trim();

/** yes, no, or "by CPU time": the clock's share falls short, because others had the cores, or threads waited. */
function met({ share, cpuShare, target }: Row): string {
  if (target === undefined) return "";
  if (share >= target) return "yes";
  return cpuShare >= target ? "by CPU time" : "no";
}

const digits = (value: number): string => (Number.isFinite(value) ? value.toPrecision(4) : "");

export function report(row: Row): void {
  const { group, what, direction = "", dtype, shape, library = "posttrain", target, remark } = row;
  const name = `${what} ${direction}`.trim();
  process.stdout.write(
    `${library === "posttrain" ? name.padEnd(30) : `  ${library}`.padEnd(30)} ${dtype.padEnd(5)} ${shape.padEnd(22)} ` +
      `${row.milliseconds.toFixed(3).padStart(10)} ms ${digits(row.rate).padStart(7)} ${row.unit.padEnd(8)} ` +
      `${row.share.toFixed(3).padStart(7)} (CPU ${row.cpuShare.toFixed(3)}) of ${row.roof}` +
      `${target === undefined ? "" : `, wanted ${target.toFixed(2)}: ${met(row)}`}${remark === undefined ? "" : `; ${remark}`}\n`,
  );
  if (!existsSync(results)) writeFileSync(results, `${columns.join(",")}\n`);
  const values = [
    new Date().toISOString().slice(0, 10),
    commit,
    processor,
    row.path,
    row.threads,
    group,
    what,
    direction,
    dtype,
    shape,
    library,
    digits(row.milliseconds),
    digits(row.rate),
    row.unit,
    row.roof,
    digits(row.roofRate),
    digits(row.share),
    digits(row.cpuShare),
    target ?? "",
    met(row),
  ];
  const fields = values.map((value) => (String(value).includes(",") ? `"${value}"` : value));
  appendFileSync(results, `${fields.join(",")}\n`);
}
