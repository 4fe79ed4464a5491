// posttrain view in a real browser, on a run that goes on while it is looked at. One browser and one run for all.
import type { ChildProcess } from "node:child_process";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openDevice } from "@posttrain/kernels";
import { type Browser, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { posttrainHere } from "../packages/cli/test/support/in-process.js";
import { startPosttrain } from "./support/command-line.js";
import { skipUnless } from "./support/skip.js";
import { writeTinyPolicy } from "./support/tiny-policy.js";
import { testFolder } from "./support/tiny-run.js";

const chromiumPath = "/usr/bin/chromium";
const folder = testFolder();
const run = join(folder, "rl");
const hostile = "<img src=x onerror=alert(1)>\u001b[31m\u202e";

interface Rollout {
  readonly prompt_id: string;
  readonly completion_ids: readonly number[];
  readonly logprobs: readonly number[];
  readonly advantage: number;
  readonly reward: number;
}

const linesOf = (name: string): readonly Record<string, unknown>[] =>
  readFileSync(join(run, name), "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
const rolloutsOf = (step: number): readonly Rollout[] =>
  linesOf(`rollouts/step-00000${step}.jsonl`) as unknown as readonly Rollout[];

describe(
  "the page of a run",
  skipUnless(existsSync(chromiumPath), "no chromium", "apt-get install -y chromium"),
  () => {
    let model: string;
    let server: ChildProcess;
    let url: string;
    let browser: Browser;

    async function train(steps: number, ...more: readonly string[]): Promise<void> {
      const { code, err } = await posttrainHere([
        ...[
          "grpo",
          "--model_name_or_path",
          model,
          "--data",
          join(folder, "prompts.jsonl"),
          "--output_dir",
          run,
        ],
        ...[
          "--verifier",
          join(folder, "own.mjs"),
          "--num_generations",
          "4",
          "--per_device_train_batch_size",
          "8",
        ],
        ...["--max_completion_length", "64", "--max_prompt_length", "60", "--max_steps", String(steps)],
        ...[
          "--save_steps",
          "2",
          "--learning_rate",
          "1e-3",
          "--most_truncated",
          "1",
          "--val_size",
          "2",
          "--eval_steps",
          "2",
        ],
        ...more,
      ]);
      expect(code, err).toBe(0);
    }

    beforeAll(async () => {
      const device = openDevice({ threads: 1 });
      model = await writeTinyPolicy(device, folder);
      await device.close();
      const prompts = Array.from({ length: 6 }, (_, i) => ({ prompt: `Word ${i}? ${hostile}` }));
      const rows = [...prompts, { prompt: "long ".repeat(20) }];
      writeFileSync(join(folder, "prompts.jsonl"), rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
      writeFileSync(
        join(folder, "own.mjs"),
        "export const grade = (response) => (/[a-m]/.test(response) ? 1 : 0);\n",
      );
      [browser] = await Promise.all([chromium.launch({ executablePath: chromiumPath }), train(3)]);
      const started = startPosttrain(["view", run, "--quiet"]);
      server = started.child;
      url = await new Promise((resolve, reject) => {
        server.stdout?.once("data", (text) => resolve(String(text).trim()));
        server.once("exit", () => reject(new Error(started.said())));
      });
    });
    afterAll(async () => {
      await browser?.close();
      server?.kill();
    });

    /** A page that asks nobody else, and has nothing to complain of. */
    async function open<T>(
      hash: string,
      look: (page: Page) => Promise<T>,
      { width = 1280, colorScheme = "light" as "light" | "dark" } = {},
    ): Promise<T> {
      const context = await browser.newContext({ viewport: { width, height: 900 }, colorScheme });
      try {
        const page = await context.newPage();
        const complaints: string[] = [];
        page.on("console", (message) => complaints.push(message.text()));
        page.on("pageerror", (error) => complaints.push(String(error)));
        page.on("request", (request) => {
          if (!request.url().startsWith(url)) complaints.push(`asked ${request.url()}`);
        });
        await page.goto(`${url}#${hash}`);
        const result = await look(page).catch(async (error: Error) => {
          error.message += ` The page: ${JSON.stringify([complaints, await page.locator("body").innerText()])}`;
          throw error;
        });
        expect(complaints).toEqual([]);
        return result;
      } finally {
        await context.close();
      }
    }

    test("figures: curves, values under the pointer and by keys, and the same in a table", async () => {
      const rewards = linesOf("metrics.jsonl").flatMap(({ step, reward }) =>
        typeof reward === "number" ? [{ step, reward }] : [],
      );
      expect(rewards.map(({ step }) => step)).toEqual([1, 2, 3]);
      await open("figures", async (page) => {
        const figure = page.locator("figure", {
          has: page.getByRole("heading", { name: "Reward", exact: true }),
        });
        const chart = figure.getByRole("slider");
        const points = await chart.locator("polyline").first().getAttribute("points");
        expect(points?.split(" ")).toHaveLength(3);
        const names = await page.getByRole("heading", { level: 3 }).allTextContents();
        for (const name of [
          "Solve rate",
          "Length of responses",
          "Entropy",
          "Clipped tokens",
          "Loss",
          "Gradient norm",
          "Learning rate",
          "Reward: verifier",
        ]) {
          expect(names).toContain(name);
        }
        const box = (await chart.boundingBox())!;
        await page.mouse.move(box.x + Number.parseFloat(points ?? ""), box.y + 60);
        await figure.getByText("step 1").waitFor();
        expect(Number(await figure.locator(".value").first().textContent())).toBeCloseTo(
          rewards[0]!.reward,
          2,
        );
        await page.mouse.move(0, 0);
        await figure.getByText("step 3").waitFor();
        await chart.focus();
        await page.keyboard.press("Home");
        await page.keyboard.press("ArrowRight");
        await figure.getByText("step 1").waitFor(); // after an evaluation at step 0
        expect(await chart.getAttribute("aria-valuetext")).toMatch(/^step 1: training/);
        await figure.getByText("Table").click();
        const cells = await figure.locator("tbody tr").allTextContents();
        expect(cells.map((text) => text[0])).toEqual(["0", "1", "2", "3"]);
      });
    });

    test("groups are filtered, the filter stands in the address, a group leads to its prompt across steps", async () => {
      await open("groups", async (page) => {
        const rows = page.locator("main tbody tr");
        await rows.first().waitFor();
        const all = await rows.count();
        expect(all).toBe(6); // 3 steps of 2 prompts
        await page.getByLabel("least variance").fill("0.01");
        await page.getByRole("button", { name: "Filter" }).click();
        await page.waitForURL(/#groups\?least_variance=0\.01$/);
        await page.getByText(/groups? of steps|None of steps/).waitFor();
        const wanted = [1, 2, 3].flatMap((step) => {
          const ids = [...new Set(rolloutsOf(step).map(({ prompt_id }) => prompt_id))];
          const own = (id: string): readonly Rollout[] =>
            rolloutsOf(step).filter(({ prompt_id }) => prompt_id === id);
          return ids.filter((id) => new Set(own(id).map(({ reward }) => reward)).size > 1);
        });
        expect(await rows.count()).toBe(wanted.length);
        await page.goBack();
        await expect.poll(() => rows.count()).toBe(all);
        await page.getByLabel("Some response has").selectOption("pass");
        await page.waitForURL(/verdict=pass/);
        await rows.first().waitFor();
        for (const text of await rows.allTextContents()) expect(text).toContain("pass");
        await rows.first().getByRole("link").click();
        await page.getByRole("link", { name: "This prompt across steps" }).click();
        await page.getByText(/^Sampled at \d steps?\.$/).waitFor();
        expect(await page.locator("main polyline").count()).toBeGreaterThanOrEqual(2);
      });
    });

    test("a response token by token, and what models and rows say as text", async () => {
      const [first] = rolloutsOf(2) as [Rollout];
      await open(`group/2/${first.prompt_id}`, async (page) => {
        await page.getByText("Token by token").first().click();
        const tokens = page.locator(".tokens .token");
        await expect.poll(() => tokens.count()).toBe(first.completion_ids.length);
        const numbers = await page.locator(".tokens .number").allTextContents();
        expect(numbers.map((text) => Number(text.replace("\u2212", "-")))).toEqual(
          first.logprobs.map((value) => Number(value.toFixed(2))),
        );
        const levels = await tokens.evaluateAll((all) =>
          all.map((one) => Number(/surprise-(\d)/.exec(one.className)?.[1])),
        );
        const expected = first.logprobs.map(
          (value) => [0.9, 0.5, 0.2, 0.05, 0.01].filter((share) => Math.exp(value) <= share).length,
        );
        expect(levels).toEqual(expected);
        await tokens.first().focus();
        await page.keyboard.press("ArrowRight");
        await page
          .getByText(new RegExp(`^Token 2: .*, id ${first.completion_ids[1]}, log-probability`))
          .waitFor();
        await page.getByLabel("Colour and number").selectOption("advantage");
        const advantage = Number(first.advantage.toFixed(3));
        expect(
          Number((await page.locator(".tokens .number").first().textContent())?.replace("\u2212", "-")),
        ).toBe(advantage);
        expect(await page.locator("main img").count()).toBe(0);
        expect(await page.locator(".prompt").textContent()).toContain(
          "<img src=x onerror=alert(1)>\\x1b[31m\\u202e",
        );
      });
    });

    test("rejected rows, checkpoints and config", async () => {
      await open("rejects", async (page) => {
        await page.getByRole("link", { name: "Rejected rows (1)" }).waitFor();
        await page.getByRole("heading", { name: "dropped" }).waitFor();
        expect(await page.locator("main table").last().textContent()).toMatch(
          /7101.*more than max_prompt_length 60/s,
        );
        await page.getByRole("link", { name: "Run", exact: true }).click();
        await page.getByText("checkpoint-3").waitFor();
        expect(await page.locator(".config").textContent()).toContain("stage: grpo");
      });
    });

    const views = ["figures", "groups", "group", "prompt", "rejects", "run"];
    test.each([
      [1280, "light"],
      [390, "dark"],
    ] as const)("%d pixels, %s: nothing sticks out, everything can be read", async (width, colorScheme) => {
      const id = rolloutsOf(1)[0]?.prompt_id ?? "";
      await open(
        "figures",
        async (page) => {
          for (const view of views) {
            const path = { group: `group/1/${id}`, prompt: `prompt/${id}` }[view] ?? view;
            await page.evaluate(`location.hash = ${JSON.stringify(path)}`);
            await page.locator("main h2").first().waitFor();
            for (const summary of await page.locator("main summary").all()) await summary.click();
            if (view === "group") await page.locator(".tokens .token").first().waitFor();
            expect(
              await page.evaluate("document.documentElement.scrollWidth - innerWidth"),
              view,
            ).toBeLessThanOrEqual(0);
            expect(await page.evaluate(faintTexts), view).toEqual([]);
          }
        },
        { width, colorScheme },
      );
    });

    // The last: the run has other steps afterwards.
    test("what comes while one looks is drawn, and nothing jumps", async () => {
      await open("figures", async (page) => {
        await page.getByText("step 3 of 3").waitFor();
        const chart = page.getByRole("slider", { name: "Loss, over steps" });
        await chart.waitFor();
        await page.evaluate(watchShifts);
        await train(5, "--resume_from_checkpoint");
        await page.getByText("step 5 of 5").waitFor();
        await expect.poll(() => chart.getAttribute("aria-valuemax")).toBe("5");
        expect(await page.evaluate("window.shifted")).toBeLessThan(0.01);
        await page.getByRole("link", { name: "Groups" }).click();
        await expect.poll(() => page.locator("main tbody tr").count()).toBe(10);
      });
      expect(readdirSync(join(run, "rollouts"))).toHaveLength(5);
    });
  },
);

/** Sums up what moves without being asked to. */
const watchShifts = `
  window.shifted = 0;
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) window.shifted += entry.value;
  }).observe({ type: "layout-shift" });
`;

/** Texts with a contrast of less than 4.5 (WCAG 2, AA) to what lies behind them. */
const faintTexts = `(() => {
  const numbers = (color) => {
    const [r, g, b, a = 1] = color.match(/[\\d.]+/g).map(Number);
    return [r, g, b, a];
  };
  const over = ([r, g, b, a], [R, G, B]) => [r * a + R * (1 - a), g * a + G * (1 - a), b * a + B * (1 - a), 1];
  const ground = (element) => {
    if (element === null) return [255, 255, 255, 1];
    const own = numbers(getComputedStyle(element).backgroundColor);
    return own[3] === 1 ? own : over(own, ground(element.parentElement));
  };
  const light = (color) => {
    const [r, g, b] = color.map((part) => (part / 255 <= 0.04045 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const found = [];
  for (const element of document.querySelectorAll("body *")) {
    const text = [...element.childNodes].filter((node) => node.nodeType === 3).map((node) => node.data).join("").trim();
    if (text === "" || element.closest(".for-readers, noscript, option, .skip")) continue;
    const style = getComputedStyle(element);
    const front = numbers(element instanceof SVGElement ? style.fill : style.color);
    const [a, b] = [light(front), light(ground(element))].sort((x, y) => y - x);
    const contrast = (a + 0.05) / (b + 0.05);
    if (contrast < 4.5) found.push(text.slice(0, 40) + ": " + contrast.toFixed(2));
  }
  return found.slice(0, 5);
})()`;
