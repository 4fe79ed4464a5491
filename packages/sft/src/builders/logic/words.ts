// Names and small words that puzzles are told with.

export const people = [
  ...["Ada", "Ben", "Carla", "Dmitri", "Elif", "Farid", "Grace", "Hiro", "Ines", "Jonas", "Kavya", "Liam"],
  ...["Mei", "Nadia", "Omar", "Priya", "Quentin", "Rosa", "Samir", "Tara", "Uma", "Viktor", "Wanda", "Yusuf"],
] as const;

/** 2 -> second. */
export const ordinal = (place: number): string =>
  ["first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth"][place - 1] as string;

/** a, b and c. */
export function listed(words: readonly string[], word = "and"): string {
  if (words.length < 2) return words.join("");
  return `${words.slice(0, -1).join(", ")} ${word} ${words.at(-1)}`;
}

export const withArticle = (noun: string): string => `${/^[aeiou]/i.test(noun) ? "an" : "a"} ${noun}`;
