// JSON in what a role said: in a code block, or from the first brace or bracket to the last.

/** Undefined: there is none that parses. */
export function jsonIn(text: string): unknown {
  const fenced = [...text.matchAll(/```(?:json)?[ \t]*\n([\s\S]*?)\n[ \t]*```/gi)].map(
    ([, inside]) => inside!,
  );
  const bare = /[[{][\s\S]*[\]}]/.exec(text)?.[0];
  for (const candidate of [...fenced.reverse(), ...(bare === undefined ? [] : [bare])]) {
    try {
      return JSON.parse(candidate);
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
    }
  }
  return undefined;
}

/** "Score: 7" on a line of its own or at the end, from 0 to 10; the last one counts. */
export function scoreIn(text: string): number | undefined {
  const said = [...text.matchAll(/\bscore\W{0,6}(\d+(?:\.\d+)?)(?![\d.]*\d)/gi)].at(-1)?.[1];
  const score = Number(said);
  return said === undefined || score > 10 ? undefined : score;
}
