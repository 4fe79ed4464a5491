// What the server answers and the page shows. Types alone: the page is compiled apart and takes nothing else from here.

/** `/api/run`: what the head of the page says. */
export interface RunAnswer {
  readonly dir: string;
  readonly stage: string;
  /** Of the newest training line; 0 before the first. */
  readonly step: number;
  readonly totalSteps: number | undefined;
  /** As trainer_log.jsonl has them: h:mm:ss. */
  readonly elapsed: string | undefined;
  readonly remaining: string | undefined;
  readonly tokens: number | undefined;
  /** When metrics.jsonl was written last, milliseconds since 1970. */
  readonly written: number | undefined;
  /** What is wrong with files, a sentence each. */
  readonly notes: readonly string[];
  /** The newest step that has rollouts; undefined: none has. */
  readonly newestRollouts: number | undefined;
  readonly rejected: number;
}

/**
 * Points of a metric over steps. With more than five hundred of them neighbours are taken together: then `values` are means over the steps
 * `first` to `steps`, `least` and `most` their extremes.
 */
export interface Series {
  readonly steps: readonly number[];
  readonly values: readonly number[];
  readonly together?: {
    readonly first: readonly number[];
    readonly least: readonly number[];
    readonly most: readonly number[];
  };
}

export interface FigureSeries extends Series {
  /** As metrics.jsonl calls it. */
  readonly name: string;
  readonly label: string;
  /** Of held-out rows, now and then: drawn with dots. */
  readonly heldOut: boolean;
}

export interface Figure {
  readonly title: string;
  readonly unit: string;
  readonly series: readonly FigureSeries[];
  /** A sentence on how to read it, where one helps. */
  readonly note: string | undefined;
}

/** `/api/figures` */
export interface FiguresAnswer {
  readonly sections: readonly { readonly title: string; readonly figures: readonly Figure[] }[];
}

/** A prompt's responses at a step, in numbers. */
export interface GroupSummary {
  readonly step: number;
  readonly prompt: string;
  /** Of the prompts' file. */
  readonly line: number;
  /** The end of the prompt, which says what is asked. */
  readonly excerpt: string;
  readonly responses: number;
  /** Mean and unbiased variance over responses that have a reward; null where fewer than one, or two, have. */
  readonly reward: number | null;
  readonly variance: number | null;
  /** Mean, in tokens. */
  readonly length: number;
  /** Responses by verdict; "none": without one. */
  readonly verdicts: Readonly<Record<string, number>>;
}

/** `/api/groups` */
export interface GroupsAnswer {
  readonly groups: readonly GroupSummary[];
  /** Ask for `after=` this for those that follow; undefined: the end. */
  readonly next: string | undefined;
  /** Steps that have rollouts, and the last one that was looked into. */
  readonly first: number | undefined;
  readonly last: number | undefined;
  readonly reached: number | undefined;
}

export interface SampleAnswer {
  readonly sample: number;
  readonly text: string;
  readonly finish: string;
  readonly tokens: number;
  readonly rewards: Readonly<Record<string, number | null>>;
  readonly reward: number | null;
  readonly advantage: number | null;
  readonly masked: boolean;
  readonly verdict: { readonly outcome: string; readonly evidence: string } | undefined;
}

/** `/api/group` */
export interface GroupAnswer {
  readonly summary: GroupSummary;
  readonly promptText: string;
  readonly samples: readonly SampleAnswer[];
}

/** A token: its text, id and log-probability when it was drawn. null: the number is not finite. */
export type Token = readonly [text: string, id: number, logProb: number | null];

/** `/api/tokens` */
export interface TokensAnswer {
  readonly tokens: readonly Token[];
  readonly total: number;
  readonly from: number;
  /** Why texts are missing. */
  readonly note: string | undefined;
}

/** `/api/rejects` */
export interface RejectsAnswer {
  readonly reasons: readonly { readonly file: string; readonly reason: string; readonly count: number }[];
  readonly rows: readonly {
    readonly line: number;
    readonly id: string | null;
    readonly tokens: number | null;
    readonly remedy: string;
  }[];
  readonly from: number;
  readonly total: number;
}

/** `/api/details` */
export interface DetailsAnswer {
  readonly config: string;
  readonly checkpoints: readonly {
    readonly name: string;
    readonly created: string;
    readonly bytes: number;
    /** Changes of the identity that somebody accepted. */
    readonly accepted: readonly string[];
  }[];
}

/** Any answer that is none. */
export interface ErrorAnswer {
  readonly error: string;
}
