// Causal puzzles: parts that switch each other. What would be, if a part were held still; what made the difference. Solved by running the model.
import type { Draws } from "../draws.js";
import type { Maker } from "./puzzle.js";
import { listed } from "./words.js";

type Kind = "and" | "or" | "not" | "unless";

interface Part {
  readonly name: string;
  readonly kind: Kind;
  readonly inputs: readonly string[];
}

type State = ReadonlyMap<string, boolean>;

const parts = [
  ...["pump", "fan", "lamp", "alarm", "heater", "valve", "siren", "motor", "belt", "mixer", "drill", "press"],
  ...["crane", "gate", "furnace", "conveyor", "sprinkler", "compressor", "beacon", "printer"],
] as const;
const switches = ["red", "blue", "green", "yellow", "white", "black", "brown", "grey"] as const;

const ruleText = ({ name, kind, inputs: [a, b] }: Part): string =>
  ({
    and: `The ${name} runs exactly when the ${a} and the ${b} are both on.`,
    or: `The ${name} runs exactly when the ${a} or the ${b} is on, or both are.`,
    not: `The ${name} runs exactly when the ${a} is off.`,
    unless: `The ${name} runs exactly when the ${a} is on and the ${b} is off.`,
  })[kind];

function isOn({ kind, inputs: [a, b] }: Part, state: State): boolean {
  const [one, other] = [state.get(a!)!, b === undefined ? false : state.get(b)!];
  return { and: one && other, or: one || other, not: !one, unless: one && !other }[kind];
}

/** What every part does where switches are so; `held` stays as it is whatever its rule says. */
function run(machine: readonly Part[], start: State, held: State = new Map()): State {
  const state = new Map([...start, ...held]);
  for (const part of machine) state.set(part.name, held.get(part.name) ?? isOn(part, state));
  return state;
}

interface Machine {
  readonly switches: readonly string[];
  readonly machine: readonly Part[];
  readonly start: State;
}

function machineOf(draws: Draws, difficulty: number): Machine {
  const own = draws.some(switches, [2, 3, 3, 4, 5][difficulty - 1]!).map((colour) => `${colour} switch`);
  const names = draws.some(parts, [3, 4, 5, 6, 7][difficulty - 1]!);
  const machine = names.map((name, i): Part => {
    const kind = draws.pick(["and", "or", "or", "unless", "not"] as const);
    // Early parts hang on switches, later ones on what is before them.
    const from = [...(i < 2 ? own : draws.some(own, 2)), ...names.slice(0, i)];
    return { name, kind, inputs: draws.some(from, kind === "not" ? 1 : 2) };
  });
  const start = new Map(own.map((name) => [name, draws.chance(0.5)]));
  return { switches: own, machine, start };
}

const stateText = (start: State): string =>
  [...start].map(([name, on]) => `The ${name} is ${on ? "on" : "off"}.`).join(" ");

const onOff = (on: boolean | undefined): string => (on ? "on" : "off");

/** Each part in turn, and why. */
const worked = (machine: readonly Part[], state: State, held: State = new Map()): readonly string[] =>
  machine.map(({ name, inputs }) =>
    held.has(name)
      ? `The ${name} is held ${onOff(held.get(name))}.`
      : `With ${listed(inputs.map((input) => `the ${input} ${onOff(state.get(input))}`))}, the ${name} is ${onOff(state.get(name))}.`,
  );

const intro = "In a workshop parts switch each other; a part that runs is on.";

/** What runs when one part is held on or off by hand. */
const intervention: Maker = (draws, difficulty) => {
  const { machine, start } = machineOf(draws, difficulty);
  const before = run(machine, start);
  const { name } = draws.pick(machine.slice(0, -1));
  const held = new Map([[name, !before.get(name)]]);
  const after = run(machine, start, held);
  const others = machine.map((part) => part.name).filter((part) => part !== name);
  const changed = others.filter((part) => before.get(part) !== after.get(part));
  if (changed.length === 0) return undefined;
  const named = (which: readonly string[]): string => (which.length === 0 ? "none" : listed(which));
  const answer = named(others.filter((part) => after.get(part)));
  const wrong = new Set([named(others.filter((part) => before.get(part))), named(others), named([])]);
  for (const part of others)
    wrong.add(named(others.filter((other) => after.get(other) !== (other === part))));
  wrong.delete(answer);
  const does = held.get(name) ? "on" : "off";
  return {
    family: "intervention",
    facts: `${intro}\n${machine.map(ruleText).join("\n")}\n${stateText(start)}\nNow somebody holds the ${name} ${does} by hand, whatever its rule says; the switches stay as they are.`,
    question: `Which of the other parts (${listed(others)}) are on now?`,
    answer,
    wrong: [...wrong],
    claim: (which) => `Of the other parts these are on now: ${which}.`,
    reasoning: [
      "The held part no longer follows its own rule; what depends on it does.",
      ...worked(machine, after, held),
      `So of the others these are on: ${answer}.`,
    ],
    solver: "the machine run with the part held",
  };
};

/** The one switch without which it would be otherwise. */
const difference: Maker = (draws, difficulty) => {
  const { switches: own, machine, start } = machineOf(draws, difficulty);
  const state = run(machine, start);
  const { name } = machine.at(-1) as Part;
  const flipped = own.map(
    (one) => [one, run(machine, new Map([...start, [one, !start.get(one)]])).get(name)] as const,
  );
  const made = flipped.filter(([, on]) => on !== state.get(name));
  if (made.length !== 1 || own.length < 3) return undefined;
  const [[answer]] = made as [(typeof made)[number]];
  const is = onOff(state.get(name));
  const wrong = own.filter((one) => one !== answer).map((one) => `the ${one}`);
  return {
    family: "difference",
    facts: `${intro}\n${machine.map(ruleText).join("\n")}\n${stateText(start)}`,
    question: `The ${name} is ${is}. Which one switch, had it been the other way round and the others as they are, would have made it otherwise?`,
    answer: `the ${answer}`,
    wrong: wrong.length < 3 ? [...wrong, "none of them"] : wrong,
    claim: (one) => `The ${name} is ${is}; the one switch that would have made it otherwise is this: ${one}.`,
    reasoning: [
      ...worked(machine, state),
      ...flipped.map(
        ([one, on]) =>
          `With the ${one} ${onOff(!start.get(one))} instead, the ${name} would be ${onOff(on)}.`,
      ),
      `Only the ${answer} makes a difference.`,
    ],
    solver: `the machine run once for each of ${own.length} switches`,
  };
};

export const causal: readonly Maker[] = [intervention, difference];
