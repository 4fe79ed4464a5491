// The process of `posttrain`: what it listens to for its whole life, and its command line.
import { runCommandLine } from "./command-line.js";
import { guardStandardStreams } from "./standard-streams.js";
import { listenForSignals } from "./stopping.js";

guardStandardStreams();
listenForSignals();
await runCommandLine(process.argv.slice(2));
