// How posttrain evaluate grades: exact match, or the verifiers of posttrain verify; what it measures then, and what a majority is.
import { availableParallelism } from "node:os";
import { createAnswerGrader } from "@posttrain/answers";
import { shortened, UserError } from "@posttrain/data";
import {
  type Answered,
  type EvaluateConfig,
  exactMatch,
  exactMatchMeasure,
  type Graded,
  type Grader,
  ifevalMeasure,
  isExactMatch,
  type Measure,
  majorityOf,
  passMeasure,
  type Question,
  rowOf,
  type Task,
  verifierGrader,
} from "@posttrain/evaluate";
import {
  isModulePath,
  openOwnVerifier,
  openVerifiers,
  programSettings,
  selfTest,
  type Verifiers,
} from "@posttrain/verify";

type Samples = readonly (readonly Graded[])[];

export interface Grading {
  readonly grader: Grader;
  readonly measure: Measure;
  /** Its name in tables and files. */
  readonly filter: string;
  /** The majority of each question's answers. */
  vote(samples: Samples): Promise<readonly Answered[]>;
  close(): Promise<void>;
}

const nothing = async (): Promise<void> => undefined;

/** Of pass@k; 1 is always among them. */
function ksOf({ pass_at: given, num_samples: samples }: EvaluateConfig): readonly number[] {
  return [...new Set([1, ...(given ?? [samples])])].sort((a, b) => a - b);
}

export function exactGrading(config: EvaluateConfig): Grading {
  const passes = passMeasure(ksOf(config), true);
  return {
    grader: exactMatch(config.extract),
    measure:
      config.num_samples > 1
        ? (answered) => [...exactMatchMeasure(answered), ...passes(answered)]
        : exactMatchMeasure,
    filter: config.extract,
    vote: (samples) => voteOn(samples, isExactMatch),
    close: nothing,
  };
}

/** UserError `bad_question` where a row has nothing that could grade its responses. */
export async function openGrading(
  config: EvaluateConfig,
  task: Task | undefined,
  questions: readonly Question[],
): Promise<Grading> {
  const named = config.verifier === "auto" ? undefined : (config.verifier ?? task?.verifier);
  const concurrency = availableParallelism();
  const own =
    named !== undefined && isModulePath(named) ? await openOwnVerifier(named, { concurrency }) : undefined;
  const verifiers = openVerifiers({
    concurrency,
    unsealed: config.unsealed,
    ...programSettings(config),
    ...(named !== undefined && { verifier: own ?? named }),
  });
  try {
    const names = checkRows(verifiers, questions, config.data);
    await proveGraders([...names]);
    const [only] = names.size === 1 ? [...names] : [];
    const answers = [...names].every(
      (name) =>
        name !== "code" &&
        name !== "ifeval" &&
        name !== "instructions" &&
        name !== "checker" &&
        !name.includes("#"),
    );
    return {
      grader: verifierGrader(verifiers),
      measure:
        only === "ifeval" ? ifevalMeasure : passMeasure(ksOf(config), answers && config.num_samples > 1),
      filter: only ?? "auto",
      vote: (samples) =>
        answers
          ? voteByValue(samples, concurrency)
          : Promise.resolve(samples.map((own) => ({ samples: own }))),
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

/** Canaries, before a model spends hours on responses. UserError `self_test_failed` names those that were graded wrongly. */
async function proveGraders(verifiers: readonly string[]): Promise<void> {
  const { ok, groups } = await selfTest({ verifiers, languages: ["python"], routes: "used" });
  if (ok) return;
  const failed = groups.flatMap(({ verifier, variant, canaries }) =>
    canaries
      .filter(({ holds }) => !holds)
      .map(
        ({ kind, outcome, evidence }) =>
          `${verifier} ${variant}, ${kind}: ${outcome} (${shortened(evidence, 200)})`,
      ),
  );
  throw new UserError(
    "self_test_failed",
    `Nothing was asked: on this machine known answers are graded wrongly: ${failed.join("; ")}. posttrain verify --self_test shows all of it.`,
  );
}

/** The verifiers that the rows ask for. */
function checkRows(verifiers: Verifiers, questions: readonly Question[], path: string): ReadonlySet<string> {
  const names = new Set<string>();
  for (const { line, doc, answer } of questions) {
    const row = rowOf(doc, answer, "x");
    const problem = verifiers.problemOf(row);
    if (problem !== undefined) throw new UserError("bad_question", `${path}, line ${line}: ${problem}`);
    names.add(verifiers.nameOf(row)!);
  }
  return names;
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

function voteOn(
  samples: Samples,
  same: (a: string, b: string) => Promise<boolean> | boolean,
): Promise<readonly Answered[]> {
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
