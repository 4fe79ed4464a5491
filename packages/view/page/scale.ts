// Numbers as people read them, and the round ones that an axis shows.

/** "1,234", "0.0123", "2e-5", "-". */
export function shown(value: number | null | undefined): string {
  if (value === null || value === undefined) return "\u2013";
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e7)) {
    return value
      .toExponential(2)
      .replace(/\.?0+e/, "e")
      .replace("e+", "e")
      .replaceAll("-", "\u2212");
  }
  const digits = Number.isInteger(value) || size >= 1000 ? 0 : size >= 100 ? 1 : size >= 1 ? 2 : 3;
  return value
    .toLocaleString("en-US", { maximumFractionDigits: digits, minimumFractionDigits: digits })
    .replace("-", "\u2212");
}

/** With its sign. */
export function signed(value: number | null): string {
  return value !== null && value > 0 ? `+${shown(value)}` : shown(value);
}

/** Exactly so many digits behind the point; what rounds to 0 has no sign. */
export function fixed(value: number | null, digits: number): string {
  if (value === null) return shown(null);
  const text = value.toFixed(digits);
  return Number(text) === 0 ? text.replace("-", "") : text.replace("-", "\u2212");
}

export interface Axis {
  readonly least: number;
  readonly most: number;
  readonly ticks: readonly number[];
  readonly labels: readonly string[];
}

/** Covers the values; starts at 0 where they come near it. About `count` ticks at round numbers. */
export function axisOf(least: number, most: number, count: number): Axis {
  if (!(least <= most)) return { least: 0, most: 1, ticks: [], labels: [] };
  if (least === most) {
    const room = Math.abs(least) * 0.1 || 1;
    return {
      least: least === 0 ? 0 : least - room,
      most: most + room,
      ticks: [least],
      labels: [shown(least)],
    };
  }
  const low = least >= 0 && least < 0.4 * most ? 0 : least;
  const high = most;
  const step = roundStep((high - low) / count);
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  const ticks = Array.from({ length: Math.max(0, last - first + 1) }, (_, i) => (first + i) * step);
  const room = 0.04 * (high - low);
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  const size = Math.max(Math.abs(low), Math.abs(high));
  const labels = ticks.map((tick) =>
    tick !== 0 && (digits > 4 || size >= 1e5)
      ? short(tick)
      : digits === 0
        ? tick.toLocaleString("en-US").replace("-", "\u2212")
        : fixed(tick, tick === 0 ? 0 : digits),
  );
  return { least: low === 0 ? 0 : low - room, most: high + room, ticks, labels };
}

/** Steps are whole: ticks too, at most about `count` of them. */
export function stepAxis(first: number, last: number, count: number): Axis {
  const axis = (least: number, most: number, ticks: readonly number[]): Axis => ({
    ...{ least, most, ticks },
    labels: ticks.map((tick) => tick.toLocaleString("en-US")),
  });
  if (first === last) return axis(first - 1, last + 1, [first]);
  let step = Math.max(1, roundStep((last - first) / count));
  if ((last - first) / step > count) step = roundStep(2 * step);
  const ticks: number[] = [];
  for (let at = Math.ceil(first / step) * step; at <= last; at += step) ticks.push(at);
  return axis(first, last, ticks);
}

/** 2e-5, 150k, 3M. */
function short(value: number): string {
  if (Math.abs(value) < 1) return Number(value.toPrecision(3)).toExponential().replaceAll("-", "\u2212");
  return value.toLocaleString("en-US", { notation: "compact" }).replace("-", "\u2212");
}

/** The nearest of 1, 2 and 5 times a power of ten. */
function roundStep(size: number): number {
  const power = 10 ** Math.floor(Math.log10(size));
  const part = size / power;
  return (part < 1.5 ? 1 : part < 3.5 ? 2 : part < 7.5 ? 5 : 10) * power;
}
