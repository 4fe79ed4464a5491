// docs/workers.md as a reader would follow it, on a port of its own.
import { execFileSync } from "node:child_process";
import { expect, onTestFinished, test } from "vitest";
import { followGuide, readGuide } from "../../../tests/support/guide.js";
import { freePort, withRedis } from "../../../tests/support/redis-server.js";
import { temporaryFolder } from "./support/command-line.js";

test("the page's commands work, in order", withRedis, async () => {
  const { blocks } = readGuide("workers.md");
  const port = String(await freePort());
  const before = { ...process.env };
  const address = { PORT: port, POSTTRAIN_REDIS: `redis://localhost:${port}` };
  Object.assign(process.env, { ...address, WEIGHTS_PORT: String(await freePort()) });
  onTestFinished(() => {
    process.env = before;
    try {
      execFileSync("redis-cli", ["-p", port, "shutdown", "nosave"], { stdio: "ignore" });
    } catch {
      // It has ended, as the page's last command asks.
    }
  });
  const said = await followGuide(blocks, temporaryFolder());
  expect(blocks).toHaveLength(7);
  expect(said[1]).toMatch(/^math +3 +2 +1 /m);
  expect(said[2]).toMatch(/stage: 0 under way, 1 waiting, 0 failed/);
  expect(said[2]).toContain("1 job done, 0 failed.");
  expect(said[2]).toContain("checkpoint-20");
  expect(said[3]).toContain(
    "Workers sample and grade: posttrain worker --kinds rollout,grade --weights_dir weights",
  );
  expect(said[3]).toMatch(/checkpoint +rl\/checkpoint-1/);
  expect(said[4]).toMatch(/12 samples: [\d,]+ tokens/);
  expect(said[5]).toContain("0 jobs failed.");
});
