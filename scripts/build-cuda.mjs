// npm run build:cuda: kernels for NVIDIA GPUs into packages/kernels/build/release/backends/cuda.so, and what each takes of a multiprocessor into
// bench/cuda-resources.csv. nvcc: the NVCC variable, else of the PATH. Without a toolkit a Python environment with nvidia-cuda-nvcc,
// nvidia-cuda-runtime, nvidia-cuda-crt, nvidia-nvvm and nvidia-cuda-cccl from PyPI has one: nvidia/cu13/bin/nvcc (.ci/run makes it).
// What the machine code holds (16-byte loads, tensor cores) is looked at where nvidia-cuda-cuobjdump and nvidia-cuda-nvdisasm are beside nvcc or on the
// PATH. The build fails where a kernel spills registers to memory, or has not what it is meant to have.
// With `--check sm_80` (or several, with commas) everything is compiled for those alone and nothing is linked or written: the gate of npm test. For one
// target that is the kernels' own code; what nvcc makes of the host's half, the same launch in every file, is then seen at one file alone (add.cu).
// What was compiled is kept in packages/kernels/build/cuda until its source, a header, nvcc or a flag is another.
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { capture, root } from "./command.mjs";

const { values } = parseArgs({ options: { check: { type: "string" } } });
const all = ["80", "90a", "100", "120"];
const targets = values.check?.split(",").map((name) => name.replace(/^sm_/, "")) ?? all;
const nvcc = process.env["NVCC"] ?? "nvcc";
const cxx = process.env["CXX"] ?? "c++";
const kernelsAlone = values.check !== undefined && targets.length === 1;
const version = await capture(nvcc, ["--version"]);
if (!version.ok) {
  end(
    `nvcc is not here (${nvcc}): set NVCC to the compiler, or put it on the PATH. packages/kernels/native/cuda/README.md says where it comes from.`,
  );
}
const [, major = "0", minor = "0"] = /release (\d+)\.(\d+)/.exec(version.output) ?? [];

const native = join(root, "packages/kernels/native");
const source = join(native, "cuda");
const out = join(root, "packages/kernels/build/cuda");
const library = join(root, "packages/kernels/build/release/backends/cuda.so");
mkdirSync(out, { recursive: true });

const warnings = ["-Wall", "-Wextra", "-Werror"];
const device = [
  ...["-std=c++17", "-O3", "-fmad=false", "-prec-div=true", "-prec-sqrt=true", "-ftz=false"],
  ...targets.flatMap((target) => [
    "-gencode",
    // Of the last one PTX too, for what comes after it.
    `arch=compute_${target},code=${target === all.at(-1) ? `[sm_${target},compute_${target}]` : `sm_${target}`}`,
  ]),
  ...[
    "-Werror",
    "all-warnings",
    "-Xptxas",
    "-v",
    "-Xcompiler",
    ["-fPIC", ...warnings, "-fvisibility=hidden"].join(","),
  ],
];
// Whatever a file may include.
const headers = [source, join(native, "abi"), join(native, "cpu"), join(native, "host")]
  .flatMap((folder) => readdirSync(folder).map((name) => join(folder, name)))
  .filter((path) => /\.(h|def)$/.test(path));
const common = digest(headers.map((path) => readFileSync(path)));

/** @param {readonly (string | Buffer)[]} parts */
function digest(parts) {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part).update("\0");
  return hash.digest("hex").slice(0, 16);
}

/** @param {string} text @returns {never} */
function end(text) {
  console.error(text);
  process.exit(1);
}

/**
 * An object and what the compiler said, from before or made now.
 * @param {string} file
 * @returns {Promise<{ file: string, object: string, said: string }>}
 */
async function compile(file) {
  const path = join(native, file);
  const isKernel = file.endsWith(".cu");
  const flags = isKernel
    ? [...device, kernelsAlone && file !== "cuda/add.cu" ? "-cubin" : "-c", path]
    : [
        "-std=c++17",
        "-O2",
        "-fPIC",
        "-pthread",
        "-fvisibility=hidden",
        ...warnings,
        `-DPT_CUDA_VERSION=${major}${minor.padStart(2, "0")}0`,
        ...headersFor(file),
        "-c",
        path,
      ];
  const key = digest([common, version.output, isKernel ? "" : cxx, flags.join(" "), readFileSync(path)]);
  const name = file.replaceAll("/", "-").replace(/\.\w+$/, "");
  const object = join(out, `${name}-${key}.o`);
  const log = object.replace(/o$/, "txt");
  if (!existsSync(log)) {
    const { ok, output } = await capture(isKernel ? nvcc : cxx, [...flags, "-o", object]);
    if (!ok) end(output);
    writeFileSync(log, output);
    forget(name, key);
  }
  return { file, object, said: readFileSync(log, "utf8") };
}

/** The toolkit's own header, where a file is held against it. @param {string} file */
function headersFor(file) {
  return file === "cuda/driver_types.cpp"
    ? ["-Wno-enum-compare", "-I", join(dirname(nvcc), "../include")]
    : [];
}

/** What the file's older states gave: a few are kept, of other targets. @param {string} name @param {string} key */
function forget(name, key) {
  const old = readdirSync(out).filter((other) => other.startsWith(`${name}-`) && !other.includes(key));
  if (old.length > 8) for (const other of old) rmSync(join(out, other));
}

/** The disassembler of what nvcc made, if it is here. */
const beside = { PATH: `${dirname(nvcc)}:${process.env["PATH"] ?? ""}` };
const reads = values.check === undefined && (await capture("cuobjdump", ["--version"], { env: beside })).ok;

/**
 * What the machine code of an object holds, by target and kernel: instructions of tensor cores, loads of 16 bytes, and accesses to a thread's own
 * memory. Kept beside the object.
 * @param {string} object
 * @returns {Promise<Readonly<Record<string, { tensor: number, wide: number, local: number }>>>}
 */
async function machineCode(object) {
  const kept = object.replace(/o$/, "json");
  if (existsSync(kept)) return JSON.parse(readFileSync(kept, "utf8"));
  const { ok, output } = await capture("cuobjdump", ["-sass", object], { env: beside });
  if (!ok) end(output);
  /** @type {Record<string, { tensor: number, wide: number, local: number }>} */
  const found = {};
  let target = "";
  let now = { tensor: 0, wide: 0, local: 0 };
  for (const line of output.split("\n")) {
    target = /code for (sm_\w+)/.exec(line)?.[1] ?? target;
    const name = /Function : (\w+)/.exec(line)?.[1];
    if (name !== undefined) found[`${target} ${name}`] = now = { tensor: 0, wide: 0, local: 0 };
    const code = /^\s+\/\*[0-9a-f]+\*\/\s+(?:@!?U?P\w+ )?(\w\S*)/.exec(line)?.[1] ?? "";
    if (/^[A-Z]*MMA\b/.test(code)) now.tensor++;
    if (/^(LD|LDG|LDGSTS|LDS)\b.*\.128|^LDSM\b.*\.4$/.test(code)) now.wide++;
    if (/^(LDL|STL)\b/.test(code)) now.local++;
  }
  writeFileSync(kept, JSON.stringify(found));
  return found;
}

/**
 * What ptxas says of each kernel: kernel, target, registers, shared memory, spills.
 * @param {string} text
 */
function resources(text) {
  const rows = [];
  let kernel = "";
  let target = "";
  let spills = 0;
  for (const line of text.split("\n")) {
    const entry = /Compiling entry function '(\w+)' for 'sm_(\w+)'/.exec(line);
    if (entry !== null) [, kernel = "", target = ""] = entry;
    const spilled = /(\d+) bytes spill stores, (\d+) bytes spill loads/.exec(line);
    if (spilled !== null) spills = Number(spilled[1]) + Number(spilled[2]);
    const used = /Used (\d+) registers/.exec(line);
    if (used === null) continue;
    rows.push({
      kernel,
      target,
      registers: used[1],
      shared: /(\d+) bytes smem/.exec(line)?.[1] ?? "0",
      spills,
    });
    spills = 0;
  }
  return rows;
}

const kernels = readdirSync(source)
  .filter((name) => name.endsWith(".cu"))
  .map((name) => `cuda/${name}`);
const host = [
  "cuda/device.cpp",
  "cuda/driver.cpp",
  "cuda/stubs.cpp",
  "cuda/driver_types.cpp",
  "host/host.cpp",
];
/** The longest first: they take as long as all others. */
const queue = [...kernels, ...host].sort((a, b) => sizeOf(b) - sizeOf(a));
/** @param {string} file */
function sizeOf(file) {
  return readFileSync(join(native, file)).length;
}
/** @type {Awaited<ReturnType<typeof compile>>[]} */
const compiled = [];
const workers = Array.from({ length: availableParallelism() }, async () => {
  for (let file = queue.shift(); file !== undefined; file = queue.shift()) compiled.push(await compile(file));
});
await Promise.all(workers);

const rows = compiled.flatMap(({ file, said }) =>
  resources(said).map((row) => ({ file: file.replace("cuda/", ""), ...row })),
);
const spilling = rows.filter(({ spills }) => spills > 0);
const summary = `${rows.length / targets.length} kernels for ${targets.map((t) => `sm_${t}`).join(", ")}`;
if (spilling.length > 0)
  end(
    `Kernels that spill registers to memory:\n${spilling.map((row) => `${row.file}: ${row.kernel}, sm_${row.target}, ${row.spills} bytes`).join("\n")}`,
  );
if (values.check !== undefined) {
  console.log(summary);
  process.exit(0);
}

// Nothing of CUDA is linked in: the driver is all that a machine must have, and it is opened at run time.
mkdirSync(dirname(library), { recursive: true });
const objects = compiled.filter(({ file }) => file !== "cuda/driver_types.cpp").map(({ object }) => object);
const linked = await capture(cxx, ["-shared", "-pthread", "-Wl,-z,defs", "-o", library, ...objects, "-ldl"]);
if (!linked.ok) end(linked.output);

const names = (await capture("c++filt", [], { input: rows.map(({ kernel }) => kernel).join("\n") })).output
  .trim()
  .split("\n");
/**
 * A kernel's name with its template arguments, without namespaces and parameters.
 * @param {string} name
 */
const short = (name) =>
  name
    .replace(/^void /, "")
    .replaceAll(/\(anonymous namespace\)::|pt_cuda::(?:_\w+::)?|_GLOBAL__N_\w+::|_INTERNAL_\w+::/g, "")
    .replace(/\((?!Sum|anonymous)[^<]*\)$/, "");
/** Kernels that are meant to multiply on tensor cores, and those that are meant to read 16 bytes at once. */
const onTensorCores =
  /^(multiply_bf16|attention_bf16|query_gradients_bf16|key_gradients_bf16|probe_tiles)_kernel/;
const readWide = new RegExp(
  `${onTensorCores.source}|^(multiply|attention|attention_cached|query_gradients|key_gradients|rms_norm|rms_norm_back|draw)_kernel|^each_kernel<4`,
);
const codes = reads ? await Promise.all(compiled.map(({ object }) => machineCode(object))) : [];
const code = Object.assign({}, ...codes);
/** @type {string[]} */
const lacking = [];
const lines = rows
  .map((row, i) => {
    const name = short(names[i] ?? row.kernel);
    const has = code[`sm_${row.target} ${row.kernel}`];
    if (reads && has === undefined) lacking.push(`${name}, sm_${row.target}: no machine code`);
    else if (reads) {
      if (onTensorCores.test(name) && has.tensor === 0)
        lacking.push(`${name}, sm_${row.target}: no tensor cores`);
      if (readWide.test(name) && has.wide === 0) lacking.push(`${name}, sm_${row.target}: no 16-byte loads`);
      if (has.local > 0) lacking.push(`${name}, sm_${row.target}: ${has.local} accesses to local memory`);
    }
    return [
      ...[row.file, `"${name}"`, `sm_${row.target}`, row.registers, row.shared, row.spills],
      ...[has?.tensor ?? "", has?.wide ?? "", has?.local ?? ""],
    ].join(",");
  })
  .sort();
writeFileSync(
  join(root, "bench/cuda-resources.csv"),
  `file,kernel,target,registers,static shared bytes,spill bytes,tensor core instructions,16-byte loads,local memory accesses\n${lines.join("\n")}\n`,
);
if (lacking.length > 0) end(`Kernels that are not as they are meant to be:\n${lacking.join("\n")}`);
console.log(
  `${library}: ${summary}${reads ? "" : "; cuobjdump is not here: machine code was not looked at"}`,
);
