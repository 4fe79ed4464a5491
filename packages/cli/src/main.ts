// posttrain <command>: flags, environment and config file to options, options to a command, and what it throws to one paragraph and an exit code. Commands are
// imported when they are asked for, so that help loads no kernels.
import { readFileSync } from "node:fs";
import yargs, { type Argv } from "yargs";
import { Parser } from "yargs/helpers";
import type { Command } from "./command.js";
import { describeFailure, exitCodes } from "./failure.js";
import { widthOf, wrap } from "./format.js";
import { loadStage, stageNames, stages } from "./stages/registry.js";
import { guardStandardStreams } from "./standard-streams.js";
import { listenForSignals } from "./stopping.js";
import { visible } from "./visible.js";

interface Entry {
  readonly about: string;
  /** `stage` is what the settings say: for commands that serve every stage. */
  readonly load: (stage?: unknown) => Promise<Command>;
}

/** posttrain <stage>, of every stage. */
const stageCommands: Readonly<Record<string, Entry>> = Object.fromEntries(
  stageNames.map((name) => [
    name,
    {
      about: stages[name].about,
      load: async () => {
        const { stageCommand } = await import("./stages/stage-command.js");
        return stageCommand(await loadStage(name));
      },
    },
  ]),
);

const commands: Readonly<Record<string, Entry>> = {
  quickstart: {
    about: "make a tiny model, fine-tune it on arithmetic, show what it learnt",
    load: async () => (await import("./commands/quickstart.js")).command,
  },
  init: {
    about: "write a config for your own model and rows, with reasons",
    load: async (stage) => (await import("./commands/init.js")).command(await loadStage(stage)),
  },
  validate: {
    about: "what a stage would do with its rows, and what would be lost",
    load: async (stage) => (await import("./commands/validate.js")).command(await loadStage(stage)),
  },
  plan: {
    about: "what a stage would take of memory and time, and whether it fits",
    load: async (stage) => (await import("./commands/plan.js")).command(await loadStage(stage)),
  },
  ...stageCommands,
  generate: {
    about: "sample answers to a prompt or to a file of prompts",
    load: async () => (await import("./commands/generate.js")).command,
  },
  chat: {
    about: "talk to a model",
    load: async () => (await import("./commands/chat.js")).command,
  },
  score: {
    about: "log-probability, entropy and argmax of every token of given rows",
    load: async () => (await import("./commands/score.js")).command,
  },
  verify: {
    about: "grade responses by rules: answers, programs, instructions",
    load: async () => (await import("./commands/verify.js")).command,
  },
  evaluate: {
    about: "questions from a file, graded by exact match, as a table",
    load: async () => (await import("./commands/evaluate.js")).command,
  },
  inspect: {
    about: "what a model or checkpoint is, and how it differs from another",
    load: async () => (await import("./commands/inspect.js")).command,
  },
  env: {
    about: "one block about this machine, to paste into a bug report",
    load: async () => (await import("./commands/env.js")).command,
  },
};

const exitCodeText =
  `Exit codes: ${exitCodes.done} done; ${exitCodes.mistake} a mistake in flags, files or rows; ` +
  `${exitCodes.machine} this machine cannot do it (memory, cpu path, kernels not built); ` +
  `${exitCodes.bug} a bug of posttrain; ${exitCodes.nothing} nothing was left to do; ${exitCodes.ungraded} some rows could not be graded; ${exitCodes.interrupted} stopped with Ctrl-C, ${exitCodes.terminated} by SIGTERM, ${exitCodes.hungUp} by SIGHUP.`;

/** Runs one command line. Throws what goes wrong. */
async function main(args: readonly string[]): Promise<void> {
  const [name = "", ...flags] = args;
  if (name === "--version") {
    console.log(version());
    return;
  }
  if (name === "" || name === "--help" || name === "-h") {
    const overview = Object.entries(commands).reduce(
      (parser, [command, { about }]) => parser.command(command, about),
      newParser().usage("posttrain <command> [options]\n\nPost-training for Qwen2.5-class language models."),
    );
    const more = "posttrain <command> --help has the options of a command and an example.";
    const text = await overview.epilogue(`${more}\n\n${exitCodeText}`).getHelp();
    if (name !== "") console.log(text);
    else console.error(text);
    if (name === "") process.exitCode = exitCodes.mistake;
    return;
  }
  const entry = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (entry === undefined) throw await unknownCommand(name);
  const asksHelp = flags.some((flag) => flag === "--help" || flag === "-h");
  const [{ checkOptions, knowsAll }, { collectSettings, environmentSettings, flagSettings }] =
    await Promise.all([import("./options.js"), import("./settings.js")]);
  const { _: positional, ...given } = parseFlags(flags.map(snakeCase));
  const said = flagSettings(given);
  if (asksHelp) {
    const stage = said.find((setting) => setting.name === "stage")?.value;
    console.log(await helpOf(name, entry, await entry.load(stage)));
    return;
  }
  const environment = environmentSettings(process.env);
  const { settings, problems } = await collectSettings(said, environment);
  const stage = settings.findLast((setting) => setting.name === "stage")?.value;
  const command = await entry.load(stage);
  const { options, common, sources } = checkOptions(name, command.options, settings, {
    problems,
    positional: positional.map(String),
    ...(knowsAll(command.options, settings) ? {} : { elsewhere: await ownersOfOptions(stage) }),
  });
  await command.run(options, { ...common, sources });
}

/** Options -> the commands that have them. */
async function ownersOfOptions(stage: unknown): Promise<ReadonlyMap<string, readonly string[]>> {
  const { namesOf } = await import("./options.js");
  const owners = new Map<string, string[]>();
  for (const [name, { load }] of Object.entries(commands)) {
    for (const option of namesOf((await load(stage)).options)) {
      owners.set(option, [...(owners.get(option) ?? []), name]);
    }
  }
  return owners;
}

async function helpOf(name: string, { about }: Entry, command: Command): Promise<string> {
  const { commonOptions, optionHelp } = await import("./options.js");
  const parser = newParser().usage(`posttrain ${name} [options]\n\n${about}`);
  const own = optionHelp(command.options);
  const groups = [
    ["Required:", own.filter(({ required }) => required)],
    ["Options:", own.filter(({ required }) => !required)],
    [
      "Options of every command:",
      [...optionHelp(commonOptions), { name: "help", description: "show this help" }],
    ],
  ] as const;
  for (const [group, members] of groups) {
    for (const { name: option, description } of members) parser.option(option, { group, description });
  }
  const paragraphs = [command.notes, exitCodeText].filter((text) => text !== undefined);
  const examples = command.examples.map(
    ([line, what]) => `  # ${what}\n  ${line.replaceAll("\n", "\n    ")}`,
  );
  return [
    await parser.getHelp(),
    `Examples:\n${examples.join("\n")}`,
    ...paragraphs.map((text) => wrap(text, widthOf(process.stdout))),
  ].join("\n\n");
}

/**
 * Text stays text: options.ts knows the types. Without yargs' own checks, which take a flag called like a property of every object
 * (--constructor) for one of its rules.
 */
function parseFlags(flags: readonly string[]): { readonly _: readonly (string | number)[] } {
  return Parser([...flags], {
    configuration: {
      "camel-case-expansion": false,
      "dot-notation": false,
      "parse-numbers": false,
      "parse-positional-numbers": false,
      "short-option-groups": false,
    },
  });
}

function newParser(): Argv {
  return yargs([])
    .scriptName("posttrain")
    .locale("en")
    .help(false)
    .version(false)
    .exitProcess(false)
    .wrap(widthOf(process.stdout));
}

/** --output-dir means --output_dir; --no_x and --no-x switch x off. */
function snakeCase(arg: string): string {
  const [, dashes, name = "", rest = ""] = /^(--(?:no[-_])?)([^=]*)(.*)$/s.exec(arg) ?? [];
  return dashes === undefined ? arg : dashes.replace("_", "-") + name.replaceAll("-", "_") + rest;
}

async function unknownCommand(name: string): Promise<Error> {
  const [{ UserError }, { nearest }] = await Promise.all([import("@posttrain/data"), import("./nearest.js")]);
  const near = nearest(name, Object.keys(commands));
  const guess = near === undefined ? "" : ` Did you mean ${near}?`;
  const list = Object.keys(commands).join(", ");
  return name.startsWith("-")
    ? new UserError(
        "bad_command",
        `posttrain: a command comes first (${list}), then its options; came ${name}. See posttrain --help.`,
      )
    : new UserError(
        "bad_command",
        `posttrain: there is no command ${name}.${guess} Commands: ${list}. See posttrain --help.`,
      );
}

function version(): string {
  const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as {
    version: string;
  };
  return version;
}

guardStandardStreams();
listenForSignals();

try {
  await main(process.argv.slice(2));
} catch (error) {
  const failure = describeFailure(error);
  const { exitCode } = failure;
  const text = visible(failure.text);
  const wrapped = process.stderr.isTTY ? wrap(text, widthOf(process.stderr)) : text;
  if (text !== "") process.stderr.write(`${exitCode === exitCodes.bug ? text : wrapped}\n`);
  process.exitCode = exitCode;
}
