// Answers of a model folder to arithmetic problems, by the harness of `posttrain evaluate`, and their accuracy.
import { type Accuracy, wilson } from "@posttrain/data";
import { type Grader, renderPrompts, respondSeveral } from "@posttrain/evaluate";
import type { Device } from "@posttrain/kernels";
import { loadModel, openModelFolder } from "@posttrain/model";
import { textSide } from "@posttrain/rollout";
import { type ArithmeticProblem, arithmeticQuestion, extractArithmeticAnswer } from "@posttrain/sft";

export interface GradedAnswer {
  readonly problem: ArithmeticProblem;
  readonly text: string;
  /** length: it did not end by itself, which counts as wrong. */
  readonly finish: "stop" | "length";
  readonly correct: boolean;
}

/** The longest right answer, to a problem with four digits, has under 50 tokens. */
export const maxNewTokens = 64;

/** Greedy answers in the order of the problems. `onProgress` hears how many tokens there are. */
export async function gradeModel(
  device: Device,
  dir: string,
  problems: readonly ArithmeticProblem[],
  onProgress?: (tokens: number) => void,
): Promise<readonly GradedAnswer[]> {
  const settings = { temperature: 0, seed: 0, samples: 1 };
  return (await answersTo(device, dir, problems, settings, onProgress)).flat();
}

/** `samples` answers to each problem, drawn from the model as it is. */
export function sampleModel(
  device: Device,
  dir: string,
  problems: readonly ArithmeticProblem[],
  { samples, seed }: { readonly samples: number; readonly seed: number },
  onProgress?: (tokens: number) => void,
): Promise<readonly (readonly GradedAnswer[])[]> {
  return answersTo(device, dir, problems, { temperature: 1, seed, samples }, onProgress);
}

async function answersTo(
  device: Device,
  dir: string,
  problems: readonly ArithmeticProblem[],
  settings: { readonly temperature: number; readonly seed: number; readonly samples: number },
  onProgress: (tokens: number) => void = () => {},
): Promise<readonly (readonly GradedAnswer[])[]> {
  const questions = problems.map((problem, i) => ({
    line: i + 1,
    messages: [{ role: "user" as const, content: arithmeticQuestion(problem) }],
    answer: String(problem.answer),
  }));
  const { config } = await openModelFolder(dir);
  const prompts = await renderPrompts(questions, textSide(dir, config));
  const model = await loadModel(device, dir);
  let tokens = 0;
  try {
    const graded = await respondSeveral(model, questions, prompts, grader, {
      ...settings,
      maxNewTokens,
      maxSequences: 512,
      onToken: () => onProgress(++tokens),
    });
    return graded.map((own, i) =>
      own.map(({ text, finish, verdict }) => ({
        problem: problems[i] as ArithmeticProblem,
        text,
        finish,
        correct: verdict.outcome === "pass",
      })),
    );
  } finally {
    model.scope.end();
  }
}

/** The number after the last "Answer:", if that is how the response ends. */
const grader: Grader = ({ answer }, { text, finish }) => {
  const extracted = finish === "stop" ? extractArithmeticAnswer(text) : undefined;
  if (extracted === undefined) return { outcome: "unparseable", evidence: "It does not end with an answer." };
  return { outcome: extracted === answer ? "pass" : "fail", evidence: `The answer is ${extracted}.` };
};

export function accuracy(answers: readonly GradedAnswer[]): Accuracy {
  return wilson(answers.filter(({ correct }) => correct).length, answers.length);
}
