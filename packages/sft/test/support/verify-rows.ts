// Rows of a builder as `posttrain verify` sees them: what it finds of each response by what its row says.
import { openVerifiers } from "@posttrain/verify";

interface Made {
  readonly messages: readonly { readonly content: string }[];
}

/** Verdicts by outcome. */
export async function verify(rows: readonly Made[]): Promise<Readonly<Record<string, number>>> {
  const verifiers = openVerifiers({});
  const outcomes: Record<string, number> = {};
  try {
    for (const { messages, ...row } of rows) {
      const { outcome } = await verifiers.grade(messages.at(-1)!.content, row);
      outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
    }
  } finally {
    await verifiers.close();
  }
  return outcomes;
}
