// What is not ours on a person's terminal: text of a model or a program, of files, rows and errors. It must not steer the terminal, hide
// or reorder what stands there, so that every character that cannot be seen is spelled out. Line feeds and tabs stay.

// Controls, separators of lines, and what Unicode lets a screen ignore (bidirectional marks, zero width, tags), but for what letters
// and emoji are joined and varied with.
const unseen =
  /[\p{Cc}\p{Zl}\p{Zp}\ufff9-\ufffb]|(?![\ufe00-\ufe0f\u200c\u200d])\p{Default_Ignorable_Code_Point}|(?<![\p{M}\p{Script=Arabic}\p{Extended_Pictographic}\p{Emoji_Modifier}])[\u200c\u200d]/gu;

export function visible(text: string): string {
  return text.replaceAll(unseen, (character) =>
    character === "\n" || character === "\t" ? character : spelledOut(character),
  );
}

/** Where a line must stay one: cells of tables. */
export function visibleLine(text: string): string {
  return text.replaceAll(unseen, spelledOut);
}

/** ESC is \x1b, a right-to-left override \u202e. */
function spelledOut(character: string): string {
  const code = character.codePointAt(0)!.toString(16);
  if (code.length <= 2) return `\\x${code.padStart(2, "0")}`;
  return code.length <= 4 ? `\\u${code.padStart(4, "0")}` : `\\u{${code}}`;
}

/** Text that comes in pieces, as they come: what stands before a character decides of some. */
export function visibleStream(): (piece: string) => string {
  let last = "";
  return (piece) => {
    const shown = visible(last + piece).slice(visible(last).length);
    last = [...piece].at(-1) ?? last;
    return shown;
  };
}

/** JSON of the same value: JSON itself spells out only some of them. */
export function visibleJson(json: string): string {
  return json.replaceAll(unseen, (character) =>
    Array.from(
      { length: character.length },
      (_, i) => `\\u${character.charCodeAt(i).toString(16).padStart(4, "0")}`,
    ).join(""),
  );
}
