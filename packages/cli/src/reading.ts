// How far a file of rows is read: rows, rows a second, and the time that is left by the share of its bytes.
import { basename } from "node:path";
import type { OnProgress } from "@posttrain/data";
import { count, plural } from "./format.js";
import type { Output } from "./output.js";
import { secondsSince, timeLeft } from "./speed.js";

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
      const seconds = secondsSince(started);
      const left = share > 0 ? `, about ${timeLeft(started, share, 1)}` : "";
      progress.show(
        () =>
          `reading ${basename(path)}: ${plural(rows, "row")}, ${count(Math.round(rows / seconds))} rows/s${left}`,
      );
    },
    end: () => progress.end(),
  };
}
