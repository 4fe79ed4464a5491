// The thread of src/code/transpile.ts.
import { parentPort } from "node:worker_threads";
import { transform } from "sucrase";

parentPort?.on("message", ({ source, language }) => {
  try {
    const transforms = language === "typescript" ? ["typescript", "imports"] : ["imports"];
    const { code } = transform(source, { transforms, disableESTransforms: true });
    parentPort?.postMessage({ code });
  } catch (error) {
    parentPort?.postMessage({ error: String(error).slice(0, 1000) });
  }
});
