/**
 * Python's `datetime.strftime` in the C locale, for a date given as text: the same words on every machine.
 * Knows the directives that chat templates use; another one is an error rather than left in the prompt.
 */
import { UserError } from "./user-error.js";

const DAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS = [
  ["January", "February", "March", "April", "May", "June"],
  ["July", "August", "September", "October", "November", "December"],
].flat();

/**
 * `iso` is `YYYY-MM-DD` or `YYYY-MM-DDTHH:MM[:SS]`, without a zone: the wall clock that the text shall name.
 */
export function strftime(iso: string, format: string): string {
  const date = parseIso(iso);
  const two = (value: number): string => String(value).padStart(2, "0");
  const hour12 = date.getUTCHours() % 12 || 12;
  const day = DAYS[date.getUTCDay()] ?? "";
  const month = MONTHS[date.getUTCMonth()] ?? "";
  const directives: Readonly<Record<string, string>> = {
    "%Y": String(date.getUTCFullYear()).padStart(4, "0"),
    "%y": two(date.getUTCFullYear() % 100),
    "%m": two(date.getUTCMonth() + 1),
    "%-m": String(date.getUTCMonth() + 1),
    "%B": month,
    "%b": month.slice(0, 3),
    "%d": two(date.getUTCDate()),
    "%-d": String(date.getUTCDate()),
    "%e": String(date.getUTCDate()).padStart(2),
    "%j": String(((date.getTime() - Date.UTC(date.getUTCFullYear(), 0, 1)) / 86_400_000 + 1) | 0).padStart(
      3,
      "0",
    ),
    "%A": day,
    "%a": day.slice(0, 3),
    "%H": two(date.getUTCHours()),
    "%I": two(hour12),
    "%p": date.getUTCHours() < 12 ? "AM" : "PM",
    "%M": two(date.getUTCMinutes()),
    "%S": two(date.getUTCSeconds()),
    "%%": "%",
  };
  return format.replace(/%-?./gsu, (directive) => {
    const text = directives[directive];
    if (text !== undefined) return text;
    throw new UserError(
      "bad_template",
      `strftime_now: ${directive} in "${format}" is not known; known: ${Object.keys(directives).join(" ")}.`,
    );
  });
}

function parseIso(iso: string): Date {
  const match = /^(\d{4}-\d{2}-\d{2})(?:T(\d{2}:\d{2}(?::\d{2})?))?$/.exec(iso);
  const time = match?.[2] ?? "00:00";
  const date = new Date(`${match?.[1]}T${time.length === 5 ? `${time}:00` : time}Z`);
  // JavaScript reads 2025-02-30 as 2 March.
  if (!match || Number.isNaN(date.getTime()) || date.toISOString().slice(0, 10) !== match[1]) {
    throw new UserError(
      "bad_date",
      `"${iso}" is not a date: expected YYYY-MM-DD or YYYY-MM-DDTHH:MM, such as 2025-07-10.`,
    );
  }
  return date;
}
