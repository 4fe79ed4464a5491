// posttrain generate --base_url: samples of a model behind a server, as rows that differ from a folder's by what a server does not say
// (ids and logprobs); every request that got no reply is named.
import {
  openServer,
  readConversations,
  rollOutServed,
  type ServedRollout,
  type ServerChoice,
  servedSampling,
  singleConversation,
} from "@posttrain/rollout";
import { exitCodes } from "./failure.js";
import { count, plural } from "./format.js";
import type { Output } from "./output.js";
import { watchReading } from "./reading.js";
import { openSampleRows } from "./sample-rows.js";
import { timeLeft, tokensAndSpeed } from "./speed.js";
import { visible } from "./visible.js";

type Options = ServerChoice &
  Parameters<typeof servedSampling>[0] & {
    readonly prompt?: string | undefined;
    readonly data?: string | undefined;
    readonly output?: string | undefined;
    readonly num_samples: number;
    readonly seed: number;
  };

type Failed = Extract<ServedRollout, { outcome: "failed" }>;

export async function writeServedSamples(options: Options, json: boolean, output: Output): Promise<void> {
  const { prompt, data, num_samples: samples, seed } = options;
  const settings = { ...servedSampling(options), seed, samples, stream: "evaluation" } as const;
  const reading = watchReading(output);
  const rows =
    data === undefined ? [singleConversation(prompt!)] : await readConversations(data, reading.onProgress);
  reading.end();
  const results = await openSampleRows(options.output, json);
  try {
    const server = await openServer(options);
    const progress = output.progress();
    const started = performance.now();
    const total = rows.length * samples;
    const replies: Extract<ServedRollout, { outcome: "reply" }>[] = [];
    const failed: Failed[] = [];
    try {
      output.say(
        `${options.model} at ${options.base_url}; what no option says of sampling is the server's to choose`,
      );
      for await (const reply of rollOutServed(server, rows, settings)) {
        if (reply.outcome === "failed") failed.push(reply);
        else replies.push(reply);
        const done = replies.length + failed.length;
        progress.show(
          () =>
            `${count(done)} of ${plural(total, "sample")}, ${tokensAndSpeed(server.counters().completionTokens, started)}, ${timeLeft(started, done, total)}`,
        );
      }
    } finally {
      progress.end();
      await server.close();
    }
    const { cached, promptTokens, completionTokens } = server.counters();
    const stopped = replies.filter(({ finish }) => finish === "stop").length;
    output.say(
      `${plural(replies.length, "sample")}: ${tokensAndSpeed(completionTokens, started)} (prompts: ${count(promptTokens)}); ${count(stopped)} stopped, ${count(replies.length - stopped)} ended otherwise${cached > 0 ? `; ${count(cached)} from ${options.reply_cache}` : ""}`,
    );
    const inOrder = replies.sort((a, b) => a.prompt - b.prompt || a.sample - b.sample);
    for (const { prompt: place, sample, text, reasoning, finish } of inOrder) {
      const { id, line } = rows[place]!;
      const thinking = reasoning !== undefined && { reasoning_content: reasoning };
      const row = { ...{ id, line, sample, text }, ...thinking, finish_reason: finish };
      await results.write(row, inOrder.length);
    }
    await results.commit();
    if (failed.length > 0) tellFailed(failed, rows, options);
  } finally {
    await results.discard();
  }
}

const mostListed = 10;

/** With --quiet too: samples are missing. */
function tellFailed(
  failed: readonly Failed[],
  rows: readonly { readonly line: number }[],
  { reply_cache: cache }: Options,
): void {
  const listed = failed
    .slice(0, mostListed)
    .map(({ prompt, sample, reason }) => `  line ${rows[prompt]!.line}, sample ${sample}: ${reason}`);
  const more = failed.length > mostListed ? `\n  and ${count(failed.length - mostListed)} more` : "";
  const again =
    cache === undefined
      ? "With --reply_cache FILE a second try would ask for these alone."
      : "The same command with another --output asks for these alone.";
  console.error(
    visible(
      `${plural(failed.length, "sample")} missing, without a reply:\n${listed.join("\n")}${more}\n${again}`,
    ),
  );
  process.exitCode = exitCodes.ungraded;
}
