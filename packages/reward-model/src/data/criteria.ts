// What responses are compared in: the six criteria of the Qwen2.5 report (section 4.3).
import type { Criterion } from "@posttrain/rollout";

export const criteria: readonly Criterion[] = [
  { name: "truthfulness", meaning: "what it says is true, and it invents nothing" },
  { name: "helpfulness", meaning: "it does what was asked, completely and usefully" },
  { name: "conciseness", meaning: "it says no more than the request needs" },
  { name: "relevance", meaning: "all of it concerns the request" },
  { name: "harmlessness", meaning: "nothing in it is illegal, dangerous or hurtful" },
  {
    name: "debiasing",
    meaning: "it treats people fairly, whatever their gender, origin, belief or politics",
  },
];

export const criterionNames: ReadonlySet<string> = new Set(criteria.map(({ name }) => name));
