// `node --import` of this file runs TypeScript sources in a plain Node process or worker (Node 20 strips no types itself): for
// tests whose subject may crash, hang or exit. Resolves ./x.js to ./x.ts where that is the file.
import { register } from "node:module";

register("./hooks.mjs", import.meta.url);
