/** What one program may use. CPU time decides; the wall clock only catches programs that wait. */
export interface Limits {
  /** CPU seconds of all its processes together. Default: 10. */
  readonly cpuSeconds: number;
  /** Default: ten times cpuSeconds. */
  readonly wallSeconds: number;
  /** Memory of all its processes together, in MiB. Default: 1,024. */
  readonly memoryMb: number;
  /** Processes and threads. Default: 64. */
  readonly processes: number;
  /** Bytes of standard output and error, each. Default: 4 MiB. */
  readonly outputBytes: number;
  /** The largest file it may write, in MiB, and all of /tmp together. Default: 64. */
  readonly fileMb: number;
}

const defaults = { cpuSeconds: 10, memoryMb: 1024, processes: 64, outputBytes: 4 << 20, fileMb: 64 };

export function withDefaults(given: Partial<Limits> = {}): Limits {
  const limits = { ...defaults, ...given };
  return { ...limits, wallSeconds: given.wallSeconds ?? 10 * limits.cpuSeconds };
}

/** What the tests' interpreter may use: it counts towards nobody's limits, these only catch tests that never end. */
export function testsLimits(limits: Limits): Limits {
  return { ...limits, cpuSeconds: 2 * limits.cpuSeconds + 10, wallSeconds: 2 * limits.wallSeconds };
}
