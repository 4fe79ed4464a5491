// Numbers and paragraphs as people read them.

/** 1234567 -> "1,234,567". */
export function count(value: number): string {
  return Math.round(value).toLocaleString("en-US");
}

/** "1 row", "2 rows". */
export function plural(value: number, noun: string): string {
  return `${count(value)} ${noun}${value === 1 ? "" : "s"}`;
}

/** "134.5 M", "1.5 B". */
export function millions(value: number): string {
  const [scale, unit] = value < 1e9 ? [1e6, "M"] : [1e9, "B"];
  return `${(value / scale).toFixed(value / scale < 10 ? 2 : 1)} ${unit}`;
}

/** "0.4 s", "12 s", "3 min 20 s", "2 h 5 min". */
export function duration(seconds: number): string {
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

/** "31.4 %", "n/a" of nothing. */
export function percent(part: number, whole: number): string {
  return whole === 0 ? "n/a" : `${((100 * part) / whole).toFixed(1)} %`;
}

/** As a person writes it: 2e-5, 0.001, 4294967295. */
export function plainNumber(value: number): string {
  return value !== 0 && Math.abs(value) < 1e-3 ? value.toExponential() : String(value);
}

/** The shortest decimal that reads back as this float32. */
export function float32(value: number): number {
  for (let digits = 6; digits < 9; digits++) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === value) return short;
  }
  return Number(value.toPrecision(9));
}

/** An argument as a POSIX shell takes it. */
export function shellQuote(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

/** How wide a stream's lines may be: its terminal, at most 100; 80 without one. */
export function widthOf(stream: NodeJS.WriteStream): number {
  return stream.isTTY ? Math.min(stream.columns || 80, 100) : 80;
}

/** Breaks text at spaces; an indented line goes on two spaces further. A word that is too long stays whole. */
export function wrap(text: string, width: number): string {
  return text
    .split("\n")
    .map((line) => {
      const margin = /^ */.exec(line)![0];
      if (margin === "") return wrapLine(line, width);
      return margin + wrapLine(line.trimStart(), width - margin.length - 2).replaceAll("\n", `\n${margin}  `);
    })
    .join("\n");
}

/** Breaks a command before its options, so that it can still be pasted. */
export function wrapCommand(command: string, width: number): string {
  if (command.length <= width) return command;
  return wrapLine(command.replaceAll(/ (?!--)/g, glue), width - 2)
    .replaceAll(glue, " ")
    .replaceAll("\n", " \\\n  ");
}

/** Holds words together where a line is broken. */
export const glue = "\u00a0";

function wrapLine(text: string, width: number): string {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else {
      line = line === "" ? word : `${line} ${word}`;
    }
  }
  return [...lines, line].join("\n");
}
