// What every puzzle is before it is a question: facts, what is asked of them, the answer that a solver found, answers that are false, and the way to the answer.
import type { Draws } from "../draws.js";

export interface Puzzle {
  /** Kind of puzzle, such as `ordering`. */
  readonly family: string;
  readonly facts: string;
  readonly question: string;
  /** The same where no options follow. Default: `question`. */
  readonly openQuestion?: string;
  readonly answer: string;
  /** Three or more that are false, and say so in other words than the answer. */
  readonly wrong: readonly string[];
  /** The sentence that this is the answer. */
  readonly claim: (answer: string) => string;
  readonly reasoning: readonly string[];
  /** How the solver made sure. */
  readonly solver: string;
}

/** A puzzle of a grade, 1 to 5; undefined: these draws gave none. */
export type Maker = (draws: Draws, difficulty: number) => Puzzle | undefined;

export const formats = ["multiple choice", "true or false", "open"] as const;
export type PuzzleFormat = (typeof formats)[number];

export interface PuzzleQuestion {
  readonly question: string;
  readonly response: string;
  readonly answer: string;
}

const letters = ["A", "B", "C", "D", "E"];

const endings: Readonly<Record<PuzzleFormat, readonly string[]>> = {
  "multiple choice": [
    'Think it through, then end with "Answer: " and the letter.',
    'Reason step by step. The last line is "Answer: " with the letter of the right option.',
    'Which option is right? Explain, and close with "Answer: " and its letter.',
  ],
  "true or false": [
    'Is that statement true or false? Explain, then end with "Answer: True" or "Answer: False".',
    'Decide whether the statement holds. Reason first; the last line is "Answer: True" or "Answer: False".',
    'True or false? Show your reasoning and close with "Answer: True" or "Answer: False".',
  ],
  open: [
    'Reason step by step, then end with "Answer: " and the answer alone.',
    'Explain how you get there. The last line is "Answer: " with the answer and nothing else.',
    'Show your reasoning, and close with "Answer: " and the answer.',
  ],
};

/** A puzzle in one of the three formats. */
export function asked(puzzle: Puzzle, format: PuzzleFormat, draws: Draws): PuzzleQuestion {
  const { facts, question, answer, reasoning } = puzzle;
  const ending = draws.pick(endings[format]);
  const steps = reasoning.join("\n");
  if (format === "open") {
    return {
      question: `${facts}\n\n${puzzle.openQuestion ?? question}\n\n${ending}`,
      response: `${steps}\nAnswer: ${answer}`,
      answer,
    };
  }
  if (format === "true or false") {
    const isTrue = draws.chance(0.5);
    const said = isTrue ? answer : draws.pick(puzzle.wrong);
    const verdict = isTrue ? "True" : "False";
    const compared = isTrue ? "That is what the statement says." : "The statement says something else.";
    return {
      question: `${facts}\n\nStatement: ${puzzle.claim(said)}\n\n${ending}`,
      response: `${steps}\n${puzzle.claim(answer)} ${compared}\nAnswer: ${verdict}`,
      answer: verdict,
    };
  }
  const options = draws.shuffled([answer, ...draws.some(puzzle.wrong, Math.min(3, puzzle.wrong.length))]);
  const letter = letters[options.indexOf(answer)] as string;
  const listed = options.map((option, i) => `${letters[i]}. ${option}`).join("\n");
  return {
    question: `${facts}\n\n${question}\n${listed}\n\n${ending}`,
    response: `${steps}\nThat is option ${letter}: ${answer}.\nAnswer: ${letter}`,
    answer: letter,
  };
}
