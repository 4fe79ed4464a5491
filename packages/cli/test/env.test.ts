// posttrain env: complete enough for a bug report, silent about who and where.
import { hostname, userInfo } from "node:os";
import { dirname } from "node:path";
import { expect, it } from "vitest";
import { main, posttrain, temporaryFolder } from "./support/command-line.js";
import { posttrainHere } from "./support/in-process.js";

it("is one block that names versions, machine and kernels, and no person", async () => {
  const secret = { POSTTRAIN_SEED: "12345", HF_TOKEN: "hf_secret", POSTTRAIN_THREADS: "2" };
  const cwd = temporaryFolder();
  const { code, out, err } = await posttrain(["env"], { env: secret, cwd });
  expect([code, err]).toEqual([0, ""]);
  const lines = out.trimEnd().split("\n");
  const facts = Object.fromEntries(lines.map((line) => line.split(/ {2,}/, 2) as [string, string]));
  expect(Object.keys(facts)).toEqual([
    "posttrain",
    "node",
    "system",
    "cpu",
    "cpu features",
    "devices",
    "cpu paths",
    "bf16 products",
    "kernel threads",
    "memory",
    "disk",
    "gpu",
    "addon",
    "packages",
    "sandbox",
    "limits proven",
    "limits not proven",
    "variables",
  ]);
  expect(facts["node"]).toContain(process.version);
  expect(facts["devices"]).toMatch(/^cpu \(\w+\)/);
  expect(facts["cpu paths"]).toMatch(/plain$/);
  expect(facts["bf16 products"]).toMatch(
    facts["cpu paths"]?.startsWith("amx") ? /^by AMX$/ : /^by fp32 multiply-adds .*AMX/,
  );
  expect(facts["kernel threads"]).toBe("2");
  expect(facts["addon"]).toMatch(/^build release of \d{4}-.*, SHA-256 [0-9a-f]{16}; loads, ABI \d+$/);
  expect(facts["gpu"]).toMatch(/^(not used: .+|used with --device cuda or auto: sm_\d+, .+)/);
  expect(facts["packages"]).toMatch(/tokenizers \d+\.\d+.*, zod \d+\.\d+\.\d+/);
  // What cannot be proven is named with whose programs it keeps from running.
  const proven = facts["limits proven"]!;
  if (facts["limits not proven"]!.startsWith("none"))
    expect(proven).toMatch(/no network: a network namespace/);
  else expect(facts["limits not proven"]).toMatch(/\(.+\); so programs in .* do not run natively\. \S/);
  expect(facts["variables"]).toBe("POSTTRAIN_THREADS=2");
  for (const private_ of ["12345", "hf_secret", cwd, dirname(dirname(dirname(main)))])
    expect(out).not.toContain(private_);
  for (const name of [hostname(), userInfo().username]) expect(out.split(/[\s,;()]+/)).not.toContain(name);
  const json = await posttrainHere(["env", "--json"], { env: secret });
  expect(Object.keys(JSON.parse(json.out))).toEqual(Object.keys(facts));
});

it("works where the kernels do not, and says why without saying where", async () => {
  const { code, out } = await posttrain(["env"], { env: { POSTTRAIN_NATIVE_VARIANT: "none" } });
  expect(code).toBe(0);
  expect(out).toMatch(/^cpu paths +none: the addon does not load$/m);
  expect(out).toMatch(/^addon +build none is not there; .*not built .*make -C packages\/kernels\/native/m);
  expect(out).not.toContain(dirname(dirname(dirname(dirname(main)))));
});
