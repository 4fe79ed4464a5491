import { expect, test } from "vitest";
import { splitRows } from "../src/index.js";
import { userError } from "./support/qwen25.js";

const row = (id: string, token: number) => ({ id, inputIds: Int32Array.of(1, token) });
const rows = Array.from({ length: 100 }, (_, i) => row(`row${i}`, i));
const ids = (list: readonly { id: string }[]): string[] => list.map(({ id }) => id);

test("a count, a share, or none; every row on one side, in order", () => {
  for (const [size, expected] of [
    [7, 7],
    [1, 1],
    [0.1, 10],
    [0.101, 11],
    [0, 0],
    [99, 99],
  ] as const) {
    const { train, validation } = splitRows(rows, size, 1);
    expect(validation).toHaveLength(expected);
    expect([...ids(train), ...ids(validation)].sort()).toEqual(ids(rows).sort());
    expect(train).toEqual(rows.filter((one) => train.includes(one)));
    expect(validation).toEqual(rows.filter((one) => validation.includes(one)));
  }
});

test("a function of rows, size and seed; other rows and sizes move few", () => {
  const { validation } = splitRows(rows, 10, 1);
  expect(splitRows(rows, 10, 1).validation).toEqual(validation);
  expect(ids(splitRows(rows, 10, 2).validation)).not.toEqual(ids(validation));
  expect(ids(splitRows([...rows].reverse(), 10, 1).validation).sort()).toEqual(ids(validation).sort());
  expect(ids(splitRows(rows, 20, 1).validation)).toEqual(expect.arrayContaining(ids(validation)));
  expect(
    ids(splitRows([...rows, row("new", 1000)], 10, 1).validation).filter((id) => ids(validation).includes(id))
      .length,
  ).toBeGreaterThanOrEqual(9);
});

test("rows of one content never stand on both sides", () => {
  const repeated = rows.flatMap((one, i) => [one, { ...one, id: i % 2 ? `${one.id}#2` : `other${i}` }]);
  for (let seed = 0; seed < 50; seed++) {
    const { train, validation } = splitRows(repeated, 9, seed);
    expect(validation).toHaveLength(8);
    const tokens = new Set(train.map((one) => one.inputIds[1]));
    expect(validation.filter((one) => tokens.has(one.inputIds[1]))).toEqual([]);
  }
});

test("sizes that leave nothing, or are none", async () => {
  for (const size of [100, 500, 0.999]) {
    expect(await userError("bad_val_size", () => splitRows(rows, size, 1))).toContain("nothing to train on");
  }
  for (const size of [-1, 1.5, Number.NaN]) {
    expect(await userError("bad_val_size", () => splitRows(rows, size, 1))).toContain(`came ${size}`);
  }
  const same = [row("a", 1), row("a#2", 1), row("a#3", 1)];
  expect(await userError("bad_val_size", () => splitRows(same, 1, 1))).toContain("3 rows (1 different ones)");
});
