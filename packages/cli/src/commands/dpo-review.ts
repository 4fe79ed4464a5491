// posttrain dpo review: people judge pairs in the terminal or in a file; their verdicts, and those of machines that may veto, go back into the pairs.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { type ChatMessage, loadChatTemplate, loadTokenizer, planRow, type SftRow } from "@posttrain/data";
import {
  judgeReviewer,
  type Reviewer,
  type ReviewReport,
  type ReviewRow,
  readReviewFile,
  runReview,
  type Scorer,
  saveReviewFile,
  scorerReviewer,
  verifierReviewer,
  writeReviewFile,
} from "@posttrain/dpo";
import { modelDigest, modelOptions } from "@posttrain/model";
import { openJudge, openServer, serverOptions } from "@posttrain/rollout";
import { isModulePath, openOwnVerifier } from "@posttrain/verify";
import { z } from "zod";
import { columns } from "../columns.js";
import { defineCommand, type RunContext } from "../command.js";
import { exitCodes } from "../failure.js";
import { count, percent, plural } from "../format.js";
import { createOutput, type Output } from "../output.js";
import { askReviews } from "../review/asking.js";
import { keysOf } from "../review/keys.js";
import { secondsSince, timeLeft } from "../speed.js";
import { stopOnSignal } from "../stopping.js";
import { withScorer } from "../with-scorer.js";

const options = z
  .strictObject({
    file: z
      .string()
      .optional()
      .describe(
        "pairs for people to judge, as dpo pairs --review writes them; made from pairs where it is not there",
      ),
    ask: z
      .boolean()
      .optional()
      .describe("ask about those without a verdict, key by key (default: on a terminal)"),
    reviewer: z.string().min(1).default("person").describe("whose verdicts the file has, for the record"),
    pairs: z.string().optional().describe("file of dpo pairs that verdicts go back into"),
    output: z
      .string()
      .optional()
      .describe("new file for the pairs with what was said of them, without those that were vetoed"),
    count: z.int().positive().default(200).describe("pairs in a file that is made here"),
    seed: z.int().min(0).max(4_294_967_295).default(42).describe("which they are"),
    ...serverOptions,
    base_url: serverOptions.base_url.describe(
      "server of a judge that may veto; its key, if it wants one: variable OPENAI_API_KEY",
    ),
    reward_model: z.string().optional().describe("reward model that may veto: a folder, or an ONNX file"),
    dtype: modelOptions.dtype,
    verifier: z.string().optional().describe("module of your own that may veto: ./FILE.mjs or ./FILE.py"),
    timeout_seconds: z.number().positive().max(86_400).default(10).describe("its wall time for one response"),
  })
  .superRefine(({ file, pairs, output, base_url, model, reward_model, verifier }, context) => {
    const issue = (message: string, name?: string): void =>
      context.addIssue({ code: "custom", message, ...(name !== undefined && { path: [name] }) });
    if (file === undefined && output === undefined) {
      issue("Missing: FILE (pairs for people to judge), or --pairs and --output (for machines)");
    }
    if (output !== undefined && pairs === undefined)
      issue("it needs pairs, the file that verdicts go back into", "output");
    if (output === undefined) {
      for (const [name, value] of Object.entries({ base_url, reward_model, verifier })) {
        if (value !== undefined) issue("it looks at the pairs that are written: give pairs and output", name);
      }
    }
    if ((base_url === undefined) !== (model === undefined)) {
      issue(
        "a judge needs both, its address (base_url) and the name of the model there (model)",
        base_url === undefined ? "model" : "base_url",
      );
    }
    if (verifier !== undefined && !isModulePath(verifier))
      issue("expected a module of your own, ./FILE.mjs or ./FILE.py", "verifier");
  });

type Options = z.output<typeof options>;

export const command = defineCommand({
  options,
  argument: "file",
  examples: [
    [
      "npx posttrain dpo review review.jsonl",
      "judge pairs key by key; what is judged is saved, the same command goes on",
    ],
    [
      "npx posttrain dpo review review.jsonl --pairs pairs.jsonl --output reviewed.jsonl \\\n--base_url http://127.0.0.1:8000/v1 --model my-judge",
      "take the verdicts back, and let a judge look at every pair, both sides first in turn",
    ],
  ],
  notes:
    'A row of FILE is {"schema", "pair", "prompt", "a", "b", "verdict"}: a and b are the two sides in an order that says nothing; verdict is a, b, tie or null, and may be ' +
    "filled in with any editor. In OUTPUT each pair has evidence.reviews: by whom, of what kind, opinion (chosen, rejected, tie; null: no judgement), whether it is a veto, and what was said. A person's " +
    "opinion decides where there is one; else one machine's veto takes a pair out, into OUTPUT.progress/vetoed.jsonl. A judge vetoes where it prefers the rejected side in both orders, a reward model where it " +
    "scores it higher, a verifier where the chosen side does not pass. Agreement is the share of equal opinions and Cohen's kappa over the places (first, second, tie); graders are the verdicts that made the pairs. " +
    `What could not be judged stays in, is counted, and the exit code is ${exitCodes.ungraded}; the same command with another output asks for it again.`,
  run: async (given, context) => {
    const output = createOutput(context, process.stderr);
    const people =
      given.file === undefined ? undefined : await reviewByPeople(given.file, given, output, context);
    if (people === "quit" || given.output === undefined) return;
    await takeBack(given, given.pairs!, given.output, people, context, output);
  },
});

/** The rows with their verdicts; `quit`: somebody is asked and has left before the end. */
async function reviewByPeople(
  file: string,
  { ask, pairs, count: wanted, seed, output: result }: Options,
  output: Output,
  context: RunContext,
): Promise<readonly ReviewRow[] | "quit"> {
  if (!existsSync(file) && pairs !== undefined) {
    const written = await writeReviewFile(file, pairs, { count: wanted, seed });
    output.say(`${plural(written, "pair")} to judge: ${file}`);
  }
  const rows = await readReviewFile(file);
  const isAsked = ask ?? (process.stdin.isTTY === true && process.stderr.isTTY === true);
  const asked = isAsked
    ? await askReviews(rows, {
        keys: keysOf(process.stdin),
        // Asked for, so shown with --quiet too.
        show: createOutput({ ...context, quiet: false }, process.stderr).print,
        save: (now) => saveReviewFile(file, now),
      })
    : ({ rows, end: "done" } as const);
  const judged = asked.rows.filter(({ verdict }) => verdict !== null).length;
  const left = asked.rows.length - judged;
  output.say(
    `${count(judged)} of ${plural(asked.rows.length, "pair")} judged${left > 0 ? `, ${count(left)} left: the same command goes on` : ""}`,
  );
  if (asked.end === "quit" || result === undefined) {
    output.result({ json: { file, judged, left } });
    if (asked.end === "quit" && result !== undefined)
      output.say(`${result} is not written: finish, or give --no-ask.`);
  }
  return asked.end === "quit" ? "quit" : asked.rows;
}

async function takeBack(
  given: Options,
  pairs: string,
  file: string,
  people: readonly ReviewRow[] | undefined,
  context: RunContext,
  output: Output,
): Promise<void> {
  const stopping = stopOnSignal(() => output.say("Stopping: what was reviewed is kept ..."));
  const progress = output.progress();
  const started = performance.now();
  const closing: (() => Promise<void>)[] = [];
  const run = async (scorer?: Reviewer): Promise<ReviewReport> =>
    runReview({
      ...{ pairs, output: file, signal: stopping.signal },
      ...(people !== undefined && { people: { rows: people, path: given.file!, by: given.reviewer } }),
      concurrency: 2 * given.num_concurrent,
      openReviewers: async (folder) => {
        stopping.begin();
        return [...(await openReviewers(given, folder, closing)), ...(scorer === undefined ? [] : [scorer])];
      },
      onReviewed: (done, total) =>
        progress.show(
          () => `${count(done)} of ${plural(total, "pair")} reviewed, ${timeLeft(started, done, total)}`,
        ),
    });
  try {
    const { reward_model: dir, dtype } = given;
    const report =
      dir === undefined
        ? await run()
        : await withScorer({ model_name_or_path: dir, dtype }, context, async (open) => {
            output.say(`${dir}: ${open.description}`);
            const identity = { dtype, model: await modelDigest(open.dir).catch(() => dir) };
            return run(scorerReviewer(textScorer(open), { name: dir, identity }));
          });
    progress.end();
    conclude(report, file, context, output, secondsSince(started));
    if (report.end === "stopped") process.exitCode = stopping.exitCode();
  } finally {
    progress.end();
    for (const close of closing) await close();
    stopping[Symbol.dispose]();
  }
}

async function openReviewers(
  given: Options,
  folder: string,
  closing: (() => Promise<void>)[],
): Promise<readonly Reviewer[]> {
  const reviewers: Reviewer[] = [];
  const { base_url: baseUrl, model, verifier, timeout_seconds: timeoutSeconds } = given;
  if (baseUrl !== undefined && model !== undefined) {
    const server = await openServer({
      ...given,
      reply_cache: given.reply_cache ?? join(folder, "replies.jsonl"),
    });
    closing.push(server.close);
    reviewers.push(judgeReviewer(openJudge(server), { name: model, identity: { server: baseUrl } }));
  }
  if (verifier !== undefined) {
    const own = await openOwnVerifier(verifier, { timeoutSeconds });
    closing.push(own.close);
    reviewers.push(verifierReviewer(own, { name: own.name, identity: { sha256: own.digest } }));
  }
  return reviewers;
}

/** Scores of answers as the model's own template writes them, one call after the other. */
function textScorer({
  scorer,
  dir,
}: {
  readonly scorer: (sequences: readonly Int32Array[]) => ReturnType<Scorer>;
  readonly dir: string;
}): Scorer {
  const loaded = Promise.all([loadTokenizer(dir), loadChatTemplate(dir)]);
  loaded.catch(() => undefined); // whoever scores sees it
  let last: Promise<unknown> = Promise.resolve();
  return async (rows) => {
    const [tokenizer, template] = await loaded;
    const sequences: Int32Array[] = [];
    for (const { prompt, response } of rows) {
      const plan = planRow(asRow(prompt, response), { tokenizer, template, lossOn: "everything" });
      const ids = plan.finish([...(await tokenizer.encodeBatch([...plan.texts]))]).inputIds;
      sequences.push(Int32Array.from(ids));
    }
    const scores = last.then(() => scorer(sequences));
    last = scores.catch(() => undefined);
    return scores;
  };
}

function asRow(
  prompt: readonly ChatMessage[] | string,
  response: string,
): Exclude<SftRow, { kind: "tokens" }> {
  if (typeof prompt === "string") {
    return { format: "prompt-completion", kind: "prompt-completion", prompt, completion: response };
  }
  return {
    ...{
      format: "messages",
      kind: "messages",
      untrained: new Set<number>(),
      tools: undefined,
      variables: undefined,
    },
    messages: [...prompt, { role: "assistant", content: response }],
    nameOf: (turn) => `turn ${turn + 1}`,
  };
}

function conclude(
  report: ReviewReport,
  file: string,
  context: RunContext,
  output: Output,
  seconds: number,
): void {
  const { end, pairs, kept, vetoed, reviewers, agreements, vetoed_file } = report;
  if (end === "stopped") {
    output.say(`Stopped; what was reviewed is in ${file}.progress: the same command goes on from there.`);
    return;
  }
  const failed = reviewers.reduce((sum, one) => sum + one.failed, 0);
  output.say(
    `${plural(pairs, "pair")}: ${count(kept)} kept, ${count(vetoed)} vetoed${vetoed > 0 ? ` (${vetoed_file})` : ""}`,
  );
  if (!context.json && reviewers.length > 0) {
    const head = ["", "", "reviews", "vetoes", "no judgement"];
    const rows = reviewers.map((one) => [
      one.kind,
      one.by,
      count(one.reviews),
      count(one.vetoes),
      count(one.failed),
    ]);
    console.error(`\n${columns([head, ...rows], 2)}`);
  }
  if (!context.json && agreements.length > 0) {
    const rows = agreements.map(({ between, pairs: both, share, kappa }) => [
      between.join(" and "),
      count(both),
      percent(share, 1),
      kappa?.toFixed(3) ?? "n/a",
    ]);
    console.error(`\n${columns([["agreement", "pairs", "share", "kappa"], ...rows])}`);
  }
  for (const { kind, by, reasons } of reviewers) {
    if (reasons.length > 0)
      output.say(`\nThe first that ${kind} ${by} could not judge: ${reasons.join("; ")}`);
  }
  output.result({ quiet: file, json: { ...report, seconds, output: file } });
  output.print(`\nPairs: ${file}`);
  if (failed > 0) process.exitCode = exitCodes.ungraded;
}
