// posttrain <command>: flags, environment and config file to options, options to a command, and what it throws to one paragraph and an exit code.
import type { Argv } from "yargs";
import parse from "yargs-parser";
import type { Command } from "./command.js";
import { type CommandEntry, commandList, commands, ownersOfOptions } from "./commands.js";
import { describeFailure, exitCodes } from "./failure.js";
import { widthOf, wrap } from "./format.js";
import { rank, ranks, refuseRanks } from "./ranks.js";
import { version } from "./version.js";
import { visible } from "./visible.js";

const exitCodeText =
  `Exit codes: ${exitCodes.done} done; ${exitCodes.mistake} a mistake in flags, files or rows; ` +
  `${exitCodes.machine} this machine cannot do it (memory, cpu path, kernels not built); ` +
  `${exitCodes.bug} a bug of posttrain; ${exitCodes.nothing} nothing was left to do; ${exitCodes.ungraded} some rows could not be graded, some samples were not given; ${exitCodes.alarm} a run of RL sounded an alarm and is saved; ${exitCodes.interrupted} stopped with Ctrl-C, ${exitCodes.terminated} by SIGTERM, ${exitCodes.hungUp} by SIGHUP.`;

/** The command that a line begins with, of one word (`dpo`) or two (`dpo pairs`), and what follows it. */
function commandOf([first = "", second, ...rest]: readonly string[]): readonly [string, readonly string[]] {
  const both = `${first} ${second}`;
  if (Object.hasOwn(commands, both)) return [both, rest];
  return [first, second === undefined ? [] : [second, ...rest]];
}

/** Runs one command line. Says what goes wrong on standard error, and leaves the exit code in the process. */
export async function runCommandLine(args: readonly string[]): Promise<void> {
  try {
    await main(args);
  } catch (error) {
    const failure = describeFailure(error);
    const { exitCode } = failure;
    const text = visible(ranks > 1 && failure.text !== "" ? `rank ${rank}: ${failure.text}` : failure.text);
    const wrapped = process.stderr.isTTY ? wrap(text, widthOf(process.stderr)) : text;
    if (text !== "") process.stderr.write(`${exitCode === exitCodes.bug ? text : wrapped}\n`);
    process.exitCode = exitCode;
  }
}

/** Throws what goes wrong. */
async function main(args: readonly string[]): Promise<void> {
  const [name, flags] = commandOf(args);
  if (name === "--version") {
    console.log(version());
    return;
  }
  if (name === "" || name === "--help" || name === "-h") {
    const overview = Object.entries(commands).reduce(
      (parser, [command, { about }]) => parser.command(command, about),
      (await newParser()).usage(
        "posttrain <command> [options]\n\nPost-training for Qwen2.5-class language models.",
      ),
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
  const load = positional.length > 0 ? entry.loadWithArgument : undefined;
  const command = await (load?.() ?? entry.load(stage));
  refuseRanks(name, command.sharesWork ?? false);
  const { options, common, sources } = checkOptions(name, command.options, settings, {
    problems,
    positional: positional.map(String),
    ...(command.argument !== undefined && { argument: command.argument }),
    ...(knowsAll(command.options, settings) ? {} : { elsewhere: await ownersOfOptions(stage) }),
  });
  await command.run(options, { ...common, sources, commands: commandList });
}

async function helpOf(name: string, { about }: CommandEntry, command: Command): Promise<string> {
  const { commonOptions, optionHelp } = await import("./options.js");
  const argument = command.argument === undefined ? "" : ` ${command.argument.toUpperCase()}`;
  const parser = (await newParser()).usage(`posttrain ${name}${argument} [options]\n\n${about}`);
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
  return parse([...flags], {
    configuration: {
      "camel-case-expansion": false,
      "dot-notation": false,
      "parse-numbers": false,
      "parse-positional-numbers": false,
      "short-option-groups": false,
    },
  });
}

/** Of help: what runs a command does not load it. */
async function newParser(): Promise<Argv> {
  const { default: yargs } = await import("yargs");
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
