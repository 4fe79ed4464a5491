// A git-lfs pointer in the place of a file is named, wherever a file of a model folder or of rows is read.
import { expect, it } from "vitest";
import { loadChatTemplate } from "../src/chat-template.js";
import { readRows } from "../src/index.js";
import { loadTokenizer } from "../src/tokenizer.js";
import { folderWith } from "./support/qwen25.js";

const pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 7031645\n";

it.each<[file: string, read: (dir: string) => Promise<unknown>]>([
  ["tokenizer.json", loadTokenizer],
  ["tokenizer_config.json", loadChatTemplate],
  // Else it would render: every conversation the same three lines.
  ["chat_template.jinja", loadChatTemplate],
  ["rows.jsonl", async (dir) => (await readRows(`${dir}/rows.jsonl`).next()).value],
])("%s", async (file, read) => {
  const dir = await folderWith({ [file]: pointer });
  await expect(read(dir)).rejects.toMatchObject({
    code: "not_fetched",
    message: `${dir}/${file} is a git-lfs pointer, not the file itself (which has 7,031,645 bytes): it was cloned without git-lfs. Run git lfs install and git lfs pull in the folder, or download the file.`,
  });
});
