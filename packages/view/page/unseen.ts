// Text of models as a person can see it: characters that a screen hides, or that reorder what stands beside them, are told apart to be spelled out.

export interface Part {
  readonly text: string;
  /** It stands for a character that cannot be seen. */
  readonly spelled: boolean;
}

// Controls but tab and line feed, separators of lines, halves of pairs, and what Unicode lets a screen ignore, but for what letters and emoji are
// joined and varied with.
const unseen =
  /[\p{Cs}\p{Zl}\p{Zp}\ufff9-\ufffb]|(?![\t\n])\p{Cc}|(?![\ufe00-\ufe0f\u200c\u200d])\p{Default_Ignorable_Code_Point}|(?<![\p{M}\p{Script=Arabic}\p{Extended_Pictographic}\p{Emoji_Modifier}])[\u200c\u200d]/gu;

export function visibleParts(text: string): readonly Part[] {
  const parts: Part[] = [];
  let at = 0;
  for (const match of text.matchAll(unseen)) {
    if (match.index > at) parts.push({ text: text.slice(at, match.index), spelled: false });
    parts.push({ text: spelledOut(match[0]), spelled: true });
    at = match.index + match[0].length;
  }
  if (at < text.length) parts.push({ text: text.slice(at), spelled: false });
  return parts;
}

/** ESC is \x1b, a right-to-left override \u202e. */
function spelledOut(character: string): string {
  const code = (character.codePointAt(0) ?? 0).toString(16);
  if (code.length <= 2) return `\\x${code.padStart(2, "0")}`;
  return code.length <= 4 ? `\\u${code.padStart(4, "0")}` : `\\u{${code}}`;
}
