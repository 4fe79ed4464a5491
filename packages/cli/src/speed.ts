// How fast long work goes and how long it still takes, as every progress line and summary says it.
import { count, duration, plural } from "./format.js";

/** Since `started`, a time of performance.now(). */
export const secondsSince = (started: number): number => (performance.now() - started) / 1000;

/** "1,234 tokens/s". */
export function tokensPerSecond(tokens: number, seconds: number): string {
  return `${count(tokens / seconds)} tokens/s`;
}

/** "1,234 tokens, 56 tokens/s". */
export function tokensAndSpeed(tokens: number, started: number): string {
  return `${plural(tokens, "token")}, ${tokensPerSecond(tokens, secondsSince(started))}`;
}

/** "3 min 20 s left", at the speed of what is done since `started`. */
export function timeLeft(started: number, done: number, total: number): string {
  return `${duration((secondsSince(started) / done) * (total - done))} left`;
}
