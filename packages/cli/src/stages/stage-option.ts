// The option of commands that serve all stages. Apart from the list of stages, which the overview of commands reads without zod.
import { z } from "zod";
import { stageNames, usualStage } from "./registry.js";

export const stageOption = {
  stage: z.enum(stageNames).default(usualStage).describe("the stage of training that the config is for"),
};
