// Templates by name: in tokenizer_config.json as a list, or beside chat_template.jinja as transformers saves them.
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import { loadChatTemplate } from "../src/chat-template.js";
import { folderWith } from "./support/qwen25.js";

const messages = [{ role: "user", content: "x" }] as const;
const tools = [{ type: "function", function: { name: "f" } }];
const render = (template: Awaited<ReturnType<typeof loadChatTemplate>>, withTools: boolean) =>
  template.render(messages, { addGenerationPrompt: false, ...(withTools && { tools }) });

it("the template for tools is taken from additional_chat_templates, and decides over the digest", async () => {
  const dir = await folderWith({ "chat_template.jinja": "plain" });
  const alone = await loadChatTemplate(dir);
  await mkdir(join(dir, "additional_chat_templates"));
  await writeFile(join(dir, "additional_chat_templates", "tool_use.jinja"), "with tools");
  const both = await loadChatTemplate(dir);
  expect([render(alone, true), render(both, true), render(both, false)]).toEqual([
    "plain",
    "with tools",
    "plain",
  ]);
  expect(both.digest).not.toBe(alone.digest);
  const list = JSON.stringify({
    chat_template: [
      { name: "default", template: "plain" },
      { name: "tool_use", template: "with tools" },
    ],
  });
  expect((await loadChatTemplate(await folderWith({ "tokenizer_config.json": list }))).digest).toBe(
    both.digest,
  );
});

it("a template that is passed over is named", async () => {
  const files = (jinja: string) => ({
    "chat_template.jinja": jinja,
    "tokenizer_config.json": JSON.stringify({ chat_template: "plain" }),
  });
  expect((await loadChatTemplate(await folderWith(files("plain")))).passedOver).toBeUndefined();
  expect((await loadChatTemplate(await folderWith(files("other")))).passedOver).toMatch(
    /tokenizer_config\.json$/,
  );
});
