// docs/view.md as a reader would follow it, and the mistakes of posttrain view as a shell sees them.
import { rmSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { followGuide, readGuide } from "../../../tests/support/guide.js";
import { makeModel, temporaryFolder } from "./support/command-line.js";
import { posttrainHere } from "./support/in-process.js";

const folder = temporaryFolder();
afterAll(() => rmSync(folder, { recursive: true }));

test("the page's commands work, in order; a port that is taken is said", async () => {
  await makeModel(folder);
  const { blocks } = readGuide("view.md");
  expect(blocks).toHaveLength(2);
  const said = await followGuide(blocks, folder);
  expect(said[1]).toMatch(/rl: grpo, step 2 of 2\n/);
  expect(said[1]).toMatch(/^REWARDS$/m);
  expect(said[1]).toMatch(/^Reward: verifier, training: /m);
  expect(said[1]).toMatch(/^Length of responses \(tokens\), mean: /m);
  expect(said[1]).toMatch(/^ +step 1 +step 2$/m);
  for (const line of said[1]!.split("\n").slice(1)) expect(line.length).toBeLessThanOrEqual(78);

  const taken = createServer();
  const port = await new Promise<number>((resolve) => {
    taken.listen(0, "127.0.0.1", () => resolve((taken.address() as { port: number }).port));
  });
  const { code, err } = await posttrainHere(["view", join(folder, "runs", "rl"), "--port", String(port)]);
  taken.close();
  expect([code, err]).toEqual([1, expect.stringContaining(`--port ${port}: another program listens there`)]);
});

test("a folder that is no run is one paragraph and exit code 1", async () => {
  const { code, err } = await posttrainHere(["view", join(folder, "runs")]);
  expect(code).toBe(1);
  expect(err).toMatch(/runs is no run: it has no config\.yaml\. It holds runs: .*rl\. Give the output_dir/);
});
