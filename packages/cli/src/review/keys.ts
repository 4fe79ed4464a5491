// What a person types: keys as they are pressed on a terminal, else lines.
import { createInterface } from "node:readline";

/** Puts a terminal back as it was when nobody takes keys any more. */
export async function* keysOf(input: NodeJS.ReadStream): AsyncGenerator<string, void, undefined> {
  if (!input.isTTY) {
    for await (const line of createInterface({ input })) if (line.trim() !== "") yield line;
    return;
  }
  input.setRawMode(true);
  try {
    for await (const chunk of input) {
      const text = String(chunk);
      // Arrows and the like come as one piece that begins with ESC.
      if (text.startsWith("\x1b")) continue;
      for (const key of text) if (key !== "\r" && key !== "\n") yield key;
    }
  } finally {
    input.setRawMode(false);
    input.pause();
  }
}
