/** What a program or an error said, cut to a length: its beginning, and the message that helps, wherever a traceback has it. */

/** Lines that say what went wrong: Python's last, JavaScript's and Java's before their stacks, Rust's, Go's, a compiler's. */
const message =
  /^(?:\w+ in thread .*|thread '.*' panicked.*|panic: .*|fatal error.*|Caused by: .*|Uncaught .*|[\w$.]*(?:Error|Exception|Exit|Interrupt|Iteration|Warning)\b.*|\S+: error: .*)$/gm;

export function shortened(text: string, most: number): string {
  if (text.length <= most) return text;
  const front = Math.floor(most / 3);
  const back = most - front;
  const at = [...text.matchAll(message)].at(-1)?.index ?? text.length;
  const from = Math.min(at, text.length - back);
  if (from <= front) return `${text.slice(0, most)} ...`;
  const rest = text.slice(from, from + back);
  return `${text.slice(0, front)} ... ${rest}${from + back < text.length ? " ..." : ""}`;
}
