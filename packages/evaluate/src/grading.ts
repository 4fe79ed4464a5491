// How evaluate grades: by the verifiers of packages/verify; what it measures then, and what a majority is.
import { availableParallelism } from "node:os";
import { createAnswerGrader, isExactMatch } from "@posttrain/answers";
import { UserError } from "@posttrain/data";
import type { Jobs } from "@posttrain/jobs";
import {
  gradeOnWorkers,
  isModulePath,
  type Judged,
  openOwnVerifier,
  openVerifiers,
  programSettings,
  proveGraders,
  type Verifiers,
} from "@posttrain/verify";
import type { EvaluateConfig } from "./config.js";
import { type Answered, exactMatchMeasure, ifevalMeasure, type Measure, passMeasure } from "./measures.js";
import { majorityOf } from "./pass-at-k.js";
import { plainVerifier, type Question } from "./questions.js";
import type { Graded, Grader } from "./respond.js";
import type { Task } from "./tasks.js";
import { rowOf, verifierGrader } from "./verifier-grader.js";

type Samples = readonly (readonly Graded[])[];

export interface Grading {
  readonly grader: Grader;
  readonly measure: Measure;
  /** Its name in tables and files. */
  readonly filter: string;
  /** Answers alone are graded: a response that never ended has none. */
  readonly unendedIsWrong: boolean;
  /** The majority of each question's answers. */
  vote(samples: Samples): Promise<readonly Answered[]>;
  close(): Promise<void>;
}

/** Of pass@k; 1 is always among them. */
function ksOf({ pass_at: given, num_samples: samples }: EvaluateConfig): readonly number[] {
  return [...new Set([1, ...(given ?? [samples])])].sort((a, b) => a - b);
}

type Same = (a: string, b: string) => Promise<boolean> | boolean;

/** What is reported of a verifier in other ways than pass@k under its name, with answers of the same value counted together. */
interface Reporting {
  readonly measure?: (config: EvaluateConfig) => Measure;
  readonly filter?: (config: EvaluateConfig) => string;
  readonly same?: Same;
}

const reportings: Readonly<Record<string, Reporting>> = {
  exact_match: {
    measure: (config) => {
      const passes = passMeasure(ksOf(config), true);
      return config.num_samples > 1
        ? (answered) => [...exactMatchMeasure(answered), ...passes(answered)]
        : exactMatchMeasure;
    },
    filter: ({ extract }) => extract,
    same: isExactMatch,
  },
  ifeval: { measure: () => ifevalMeasure },
};

/** `workers` grade in place of this process. UserError `bad_question` where a row has nothing that could grade its responses. */
export async function openGrading(
  config: EvaluateConfig,
  task: Task | undefined,
  questions: readonly Question[],
  workers?: Jobs,
): Promise<Grading> {
  const wanted = config.verifier ?? task?.verifier ?? plainVerifier;
  const named = wanted === "auto" ? undefined : wanted;
  const concurrency = availableParallelism();
  const own =
    named !== undefined && isModulePath(named) ? await openOwnVerifier(named, { concurrency }) : undefined;
  const settings = { extract: config.extract, ...programSettings(config) };
  const verifiers = openVerifiers({
    concurrency,
    unsealed: config.unsealed,
    ...settings,
    ...(named !== undefined && { verifier: own ?? named }),
  });
  const identity = {
    ...settings,
    unsealed: config.unsealed,
    route: "auto",
    verifier: own?.name ?? named ?? null,
    ...(own !== undefined && { verifier_sha256: own.digest }),
  };
  try {
    const asked = checkRows(verifiers, questions, config.data);
    // Workers prove their own.
    if (workers === undefined) await proveGraders([...asked.keys()]);
    const [only] = asked.size === 1 ? [...asked.keys()] : [];
    const { measure, filter, same } = (only && reportings[only]) || {};
    const answers = [...asked.values()].every((judges) => judges === "answer");
    const voted = answers && config.num_samples > 1;
    return {
      grader: verifierGrader(
        workers === undefined ? verifiers : gradeOnWorkers(workers, verifiers, identity),
      ),
      measure: measure?.(config) ?? passMeasure(ksOf(config), voted),
      filter: filter?.(config) ?? only ?? "auto",
      unendedIsWrong: answers,
      vote: async (samples) => {
        if (!voted) return samples.map((own) => ({ samples: own }));
        return same ? voteOn(samples, same) : voteByValue(samples, concurrency);
      },
      close: async () => {
        await verifiers.close();
        await own?.close();
      },
    };
  } catch (error) {
    await verifiers.close();
    await own?.close();
    throw error;
  }
}

/** The verifiers that the rows ask for, and what each judges. */
function checkRows(
  verifiers: Verifiers,
  questions: readonly Question[],
  path: string,
): ReadonlyMap<string, Judged> {
  const asked = new Map<string, Judged>();
  for (const { line, doc, answer } of questions) {
    const row = rowOf(doc, answer, "x");
    const problem = verifiers.problemOf(row);
    if (problem !== undefined) throw new UserError("bad_question", `${path}, line ${line}: ${problem}`);
    const { name, judges } = verifiers.verifierOf(row)!;
    asked.set(name, judges);
  }
  return asked;
}

async function voteByValue(samples: Samples, workers: number): Promise<readonly Answered[]> {
  const grader = createAnswerGrader({ workers });
  const alive = setInterval(() => undefined, 1000);
  try {
    return await voteOn(samples, async (reference, response) => {
      const { outcome } = await grader.grade({ reference, response, options: { extracted: true } });
      return outcome === "pass";
    });
  } finally {
    await grader.close();
    clearInterval(alive);
  }
}

function voteOn(samples: Samples, same: Same): Promise<readonly Answered[]> {
  return Promise.all(
    samples.map(async (own) => {
      const answers = own.map(({ verdict }) => {
        const extracted = verdict.details?.["extracted"];
        return typeof extracted === "string" && extracted !== "" ? extracted : undefined;
      });
      const majority = await majorityOf(answers, same);
      return {
        samples: own,
        majority: majority && {
          answer: majority.answer,
          votes: majority.votes,
          outcome: own[majority.sample]!.verdict.outcome,
        },
      };
    }),
  );
}
