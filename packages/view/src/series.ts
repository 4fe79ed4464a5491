// A metric over steps in bounded memory: when it has more than five hundred points, neighbours are taken together.
import type { Series } from "./api.js";

const mostPoints = 500;

interface Point {
  first: number;
  last: number;
  count: number;
  sum: number;
  least: number;
  most: number;
}

export interface GrowingSeries {
  add(step: number, value: number): void;
  series(): Series;
}

export function createSeries(): GrowingSeries {
  /** Steps that a point covers. */
  let width = 1;
  let points: Point[] = [];
  const sameBin = (a: number, b: number): boolean => Math.floor(a / width) === Math.floor(b / width);
  const append = (list: Point[], point: Point): void => {
    const last = list.at(-1);
    if (last === undefined || !sameBin(last.last, point.first)) {
      list.push(point);
      return;
    }
    last.last = point.last;
    last.count += point.count;
    last.sum += point.sum;
    last.least = Math.min(last.least, point.least);
    last.most = Math.max(last.most, point.most);
  };
  return {
    add: (step, value) => {
      append(points, { first: step, last: step, count: 1, sum: value, least: value, most: value });
      while (points.length > mostPoints) {
        width *= 2;
        const wider: Point[] = [];
        for (const point of points) append(wider, point);
        points = wider;
      }
    },
    series: () => ({
      steps: points.map(({ last }) => last),
      values: points.map(({ sum, count }) => sum / count),
      ...(width > 1 && {
        together: {
          first: points.map(({ first }) => first),
          least: points.map(({ least }) => least),
          most: points.map(({ most }) => most),
        },
      }),
    }),
  };
}
