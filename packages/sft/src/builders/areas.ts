// The areas, each loaded when it is built.
import type { Area } from "./area.js";

const areas = {
  "long-form": async () => (await import("./long-form/long-form.js")).longForm,
  mathematics: async () => (await import("./mathematics/mathematics.js")).mathematics,
  structured: async () => (await import("./structured/structured.js")).structured,
  "cross-lingual": async () => (await import("./cross-lingual/cross-lingual.js")).crossLingual,
  filtering: async () => (await import("./filtering/filtering.js")).filtering,
  logic: async () => (await import("./logic/logic.js")).logic,
  code: async () => (await import("./code/code.js")).code,
  instructions: async () => (await import("./instructions/instructions.js")).instructions,
  "system-prompts": async () => (await import("./system-prompts/system-prompts.js")).systemPrompts,
} as const satisfies Readonly<Record<string, () => Promise<Area>>>;

export type AreaName = keyof typeof areas;

export const areaNames = Object.keys(areas) as [AreaName, ...AreaName[]];

export const loadArea = (name: AreaName): Promise<Area> => areas[name]();
