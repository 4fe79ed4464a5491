// docs/several-machines.md as a reader would follow it.
import { spawnSync } from "node:child_process";
import { expect, test } from "vitest";
import { followGuide, readGuide } from "../../../tests/support/guide.js";
import { skipUnless } from "../../../tests/support/skip.js";
import { makeModel, temporaryFolder } from "./support/command-line.js";

const hasMpi = spawnSync("mpirun", ["--version"]).status === 0;

test(
  "the page's commands work, and give the same bytes",
  skipUnless(hasMpi, "no mpirun", "sudo apt-get install -y openmpi-bin && npm test"),
  async () => {
    const { blocks } = readGuide("several-machines.md");
    const folder = temporaryFolder();
    await makeModel(folder);
    const said = await followGuide(blocks, folder);
    expect(said[1]?.match(/^checkpoint /gm)).toHaveLength(1);
    expect(said).toHaveLength(3);
  },
);
