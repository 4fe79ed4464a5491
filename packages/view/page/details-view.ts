// The run's checkpoints and its config.
import type { DetailsAnswer } from "../src/api.js";
import { ask } from "./ask.js";
import { el, fill, table } from "./dom.js";
import { modelText, pieces } from "./text.js";
import type { View } from "./view.js";

export function detailsView(): View {
  const element = el("div");
  let last: DetailsAnswer | undefined;
  return {
    element,
    update: async () => {
      const answer = await ask<DetailsAnswer>("details");
      if (answer === last) return;
      last = answer;
      const { checkpoints, config } = answer;
      fill(
        element,
        el("h2", {}, "Checkpoints"),
        checkpoints.length === 0
          ? el("p", { class: "faint" }, "None has been written yet.")
          : table(
              "Checkpoints",
              ["Checkpoint", "Written", "Size", "Accepted changes"],
              checkpoints.map(({ name, created, bytes, accepted }) => [
                name,
                created.replace("T", " ").replace(/\.\d+Z$/, " UTC"),
                `${(bytes / 1e6).toFixed(1)} MB`,
                el("span", {}, ...(accepted.length === 0 ? ["none"] : pieces(accepted.join("; ")))),
              ]),
            ),
        el("h2", {}, "Config"),
        modelText(config, { class: "text config" }),
      );
    },
  };
}
