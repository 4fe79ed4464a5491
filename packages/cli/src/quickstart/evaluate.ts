// Greedy answers of a model folder to arithmetic problems, graded by exact match, and accuracy with its uncertainty.
import { loadChatTemplate, loadTokenizer } from "@posttrain/data";
import type { Device } from "@posttrain/kernels";
import { generate, loadModel, policySampling, resolveStopIds } from "@posttrain/model";
import { type ArithmeticProblem, arithmeticQuestion, isArithmeticCorrect } from "@posttrain/sft";

export interface GradedAnswer {
  readonly problem: ArithmeticProblem;
  readonly text: string;
  /** length: it did not end by itself, which counts as wrong. */
  readonly finish: "stop" | "length";
  readonly correct: boolean;
}

/** The longest right answer, to a problem with four digits, has under 50 tokens. */
const maxNewTokens = 64;

/** Answers in the order of the problems. `onProgress` hears how many are done. */
export async function gradeModel(
  device: Device,
  dir: string,
  problems: readonly ArithmeticProblem[],
  onProgress: (tokens: number) => void = () => {},
): Promise<readonly GradedAnswer[]> {
  const [tokenizer, template] = await Promise.all([loadTokenizer(dir), loadChatTemplate(dir)]);
  const prompts = problems.map((problem) =>
    template.render([{ role: "user", content: arithmeticQuestion(problem) }], { addGenerationPrompt: true }),
  );
  const promptIds = await tokenizer.encodeBatch(prompts);
  const model = await loadModel(device, dir);
  try {
    const stopIds = resolveStopIds(model.generationConfig, model.config);
    const settings = { ...policySampling, temperature: 0, maxNewTokens, stopIds };
    let tokens = 0;
    const answers = await generate(
      model,
      promptIds.map((ids, row) => ({
        promptIds: Int32Array.from(ids),
        samples: 1,
        settings,
        row,
        visit: 0,
      })),
      {
        seed: 0,
        stream: "evaluation",
        drawable: tokenizer.size,
        maxSequences: 512,
        onToken: () => onProgress(++tokens),
      },
    );
    return answers.map(({ ids, finish }, i) => {
      const problem = problems[i] as ArithmeticProblem;
      const text = tokenizer.decode([...ids], { skipSpecialTokens: true });
      return { problem, text, finish, correct: isArithmeticCorrect(problem, { text, finish }) };
    });
  } finally {
    model.scope.end();
  }
}

export interface Accuracy {
  readonly correct: number;
  readonly total: number;
  readonly share: number;
  /** 95 % score interval of Wilson (1927): right at 0 and 1 and for small numbers, unlike the textbook's. */
  readonly low: number;
  readonly high: number;
}

export function accuracy(answers: readonly GradedAnswer[]): Accuracy {
  const correct = answers.filter((answer) => answer.correct).length;
  return wilson(correct, answers.length);
}

export function wilson(correct: number, total: number): Accuracy {
  const z = 1.959964;
  const share = correct / total;
  const middle = (share + (z * z) / (2 * total)) / (1 + (z * z) / total);
  const half =
    (z * Math.sqrt((share * (1 - share)) / total + (z * z) / (4 * total * total))) / (1 + (z * z) / total);
  return { correct, total, share, low: Math.max(0, middle - half), high: Math.min(1, middle + half) };
}
