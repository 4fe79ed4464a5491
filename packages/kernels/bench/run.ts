// npm run bench -- [GROUP ...] [--dtype f32|bf16] [--threads N]: times the ops that have targets, each against what this machine shows in
// the same run (measure.ts). Rows go to results.csv; docs/benchmarks.md explains those that fall short.
//
// Groups: products, rows, attention, elementwise, token_log_probs, overhead, curves; or the stem of a case file (test/cases), forward
// and backward at the shapes that it names. Without any: all groups. SFT and generation of a real model: bench/model.mjs.
import { parseArgs } from "node:util";
import { type Device, type FloatDtype, openDevice } from "@posttrain/kernels";
import { cases } from "../test/cases/index.js";
import { attentionRows } from "./attention.js";
import { benchCase } from "./cases.js";
import { curves } from "./curves.js";
import { elementwise } from "./elementwise.js";
import { type Limit, probe } from "./measure.js";
import { overhead } from "./overhead.js";
import { fewRows, products } from "./products.js";
import { processor } from "./results.js";
import { tokenLogProbs } from "./token-log-probs.js";

const groups: Readonly<Record<string, (device: Device, dtypes: readonly FloatDtype[]) => Promise<void>>> = {
  products,
  rows: fewRows,
  attention: attentionRows,
  elementwise,
  token_log_probs: tokenLogProbs,
  overhead,
  curves,
};

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { dtype: { type: "string" }, threads: { type: "string" } },
});
const stems = cases.map(({ stem }) => stem);
const unknown = positionals.filter((name) => !(name in groups) && !stems.includes(name));
const dtypes = (["f32", "bf16"] as const).filter((dtype) =>
  [undefined, dtype].includes(values.dtype as never),
);
if (unknown.length > 0 || dtypes.length === 0) {
  process.stderr.write(
    `${unknown.length > 0 ? `No group ${unknown.join(", ")}` : `No dtype ${values.dtype}`}. Groups: ${Object.keys(groups).join(", ")}; ` +
      `ops: ${stems.join(", ")}; --dtype f32 or bf16; --threads N.\n`,
  );
  process.exit(1);
}

const device = openDevice(values.threads === undefined ? {} : { threads: Number(values.threads) });
const wanted = positionals.length > 0 ? positionals : Object.keys(groups);
const limits: Limit[] = [
  "fp32 peak",
  ...(device.path === "amx" ? (["AMX peak"] as const) : []),
  "read",
  "copy",
  "update",
];
await probe(device, "fp32 peak"); // wakes the cores up
const found: string[] = [];
for (const limit of limits) found.push(`${limit} ${((await probe(device, limit)).wall / 1e9).toFixed(0)}`);
process.stdout.write(
  `${processor}, ${device.path}, ${device.threads} threads; now in G(FLOP or bytes)/s: ${found.join(", ")}\n`,
);
if (device.path !== "amx") {
  process.stdout.write(
    "No AMX here: what bf16 reaches through it, and its targets, cannot be measured; bf16 is emulated and held against fp32.\n",
  );
}
for (const name of wanted) {
  process.stdout.write(`\n${name}\n`);
  const group = groups[name];
  if (group !== undefined) await group(device, dtypes);
  else for (const opCase of cases) if (opCase.stem === name) await benchCase(device, opCase);
}
await device.close();
