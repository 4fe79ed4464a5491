// A thread that looks for test items in rows.
import { parentPort, workerData } from "node:worker_threads";
import { createContaminationFinder } from "./contamination.js";
import type { ContaminationRule } from "./contamination-rule.js";

const { items, rule } = workerData as { readonly items: readonly string[]; readonly rule: ContaminationRule };
const find = createContaminationFinder(items, rule);
parentPort!.on("message", (texts: readonly string[]) => parentPort!.postMessage(texts.map(find)));
