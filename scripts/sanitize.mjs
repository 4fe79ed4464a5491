// `npm run test:asan` (addresses, undefined behaviour) and `npm run test:tsan` (threads): the kernels' tests on an addon
// built with that sanitizer, whose runtime is preloaded because Node itself was built without. Linux and GCC only.
// Further arguments go to vitest.
import { prepare } from "./announce.mjs";
import { capture, handOver } from "./command.mjs";
import { make } from "./prepare.mjs";

const runtimes = {
  asan: {
    library: "libasan.so",
    // Node never frees what it holds at exit.
    env: {
      ASAN_OPTIONS: "detect_leaks=0:halt_on_error=1",
      UBSAN_OPTIONS: "print_stacktrace=1:halt_on_error=1",
    },
  },
  tsan: {
    library: "libtsan.so",
    // Node and V8 synchronise in ways that the sanitizer cannot see: races count in instrumented code only.
    env: { TSAN_OPTIONS: "ignore_noninstrumented_modules=1:halt_on_error=1:exitcode=66" },
  },
};

const [variant, ...args] = process.argv.slice(2);
if (variant !== "asan" && variant !== "tsan")
  throw new Error("usage: node scripts/sanitize.mjs asan|tsan [vitest arguments]");

await prepare();
const { library, env } = runtimes[variant];
const built = await make(variant);
if (!built.ok) {
  console.error(built.output);
  process.exit(1);
}
const found = await capture(process.env["CXX"] ?? "g++", [`-print-file-name=${library}`]);
const tests = ["node_modules/vitest/vitest.mjs", "run", ...(args.length > 0 ? args : ["packages/kernels"])];
process.exitCode = await handOver(process.execPath, tests, {
  env: {
    ...env,
    LD_PRELOAD: found.output.trim(),
    POSTTRAIN_NATIVE_VARIANT: variant,
  },
});
