export { type Outcome, outcomes, type Verdict } from "./verdict.js";
