// How far a file of rows is read: rows, rows a second, and the time that is left by the share of its bytes.
import { basename } from "node:path";
import type { OnProgress } from "@posttrain/data";
import { count, duration, plural } from "./format.js";
import type { Output } from "./output.js";

export interface Reading {
  readonly onProgress: OnProgress;
  /** Takes the line away. */
  readonly end: () => void;
}

export function watchReading(output: Output): Reading {
  const progress = output.progress();
  let reading = "";
  let started = performance.now();
  return {
    onProgress: (path, rows, share) => {
      if (path !== reading) {
        reading = path;
        started = performance.now();
      }
      const seconds = (performance.now() - started) / 1000;
      const left = share > 0 ? `, about ${duration((seconds / share) * (1 - share))} left` : "";
      progress.show(
        () =>
          `reading ${basename(path)}: ${plural(rows, "row")}, ${count(Math.round(rows / seconds))} rows/s${left}`,
      );
    },
    end: () => progress.end(),
  };
}
