// `node --import` of this file runs the tests' own TypeScript in a plain Node process or worker (Node 20 strips no types itself): for tests whose
// subject may crash, hang or exit. Resolves ./x.js to ./x.ts where that is the file. A package's src/ is its dist/ (npm test builds it first):
// transpiled here, each process would take seconds to start.
import { register } from "node:module";

register("./hooks.mjs", import.meta.url);
