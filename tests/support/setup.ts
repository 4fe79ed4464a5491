// Runs before each file of tests, in the process that it may share with others.
import "./equal-bytes.js"; // once a process
import { failOnConsole } from "./fail-on-console.js";

failOnConsole();
