import { expect, test } from "vitest";
import { canonicalJson, createRecordIds } from "../src/index.js";

// RFC 8785, sections 3.2.2 and 3.2.3: the examples of numbers, strings and key order.
test("canonical JSON as RFC 8785 has it", () => {
  const numbers = JSON.parse(
    '{"numbers":[333333333.33333329,1E30,4.50,2e-3,0.000000000000000000000000001],"literals":[null,true,false]}',
  );
  expect(canonicalJson(numbers)).toBe(
    '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27]}',
  );
  const keys = JSON.parse(
    '{"\\u20ac":1,"\\r":2,"\\ufb33":3,"1":4,"\\ud83d\\ude00":5,"\\u0080":6,"\\u00f6":7}',
  );
  expect(canonicalJson(keys)).toBe(
    '{"\\r":2,"1":4,"\u0080":6,"\u00f6":7,"\u20ac":1,"\ud83d\ude00":5,"\ufb33":3}',
  );
  expect(() => canonicalJson({ a: undefined })).toThrow(TypeError);
  expect(() => canonicalJson([Number.NaN])).toThrow(TypeError);
});

test("ids depend on the content, not on key order, lineage or the rows around", () => {
  const id = createRecordIds();
  // printf '{"a":1,"b":"é"}' | sha256sum
  const digest = "09ad9fd2fb648cb2f62141215828ea00a62c299db05d20aa9ade2f527a301cc6";
  const first = id({ b: "é", a: 1 });
  expect(first).toBe(digest);
  expect(id({ a: 2 })).not.toBe(first);
  expect(id({ a: 1, b: "é", id: "row-7", parents: [1], evidence: {} })).toBe(`${first}#2`);
  expect(id({ a: 1, b: "é" })).toBe(`${first}#3`);
});
