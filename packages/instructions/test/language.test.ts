/** Which language, as langdetect says. Sentences for 30 languages are checked in instructions/kinds.test.ts. */
import { expect, test } from "vitest";
import { checkInstructions, detectLanguage } from "../src/index.js";

test("nothing loads before a language is asked for", async () => {
  const megabytes = () => process.memoryUsage().rss / 2 ** 20;
  const start = megabytes();
  await checkInstructions("A sea without limits", [{ id: "punctuation:no_comma" }], "strict");
  const idle = megabytes();
  detectLanguage("A sea without limits");
  expect(idle - start).toBeLessThan(30);
  expect(megabytes() - idle).toBeGreaterThan(30);
});

test.each([
  ["The quick brown fox jumps over the lazy dog.", "en"],
  // Where langdetect errs, whose verdicts are asked for: what is all in capitals has few n-grams left.
  ["etchings", "de"],
  ["YES", "cy"],
  ["A MAN IS CHOPPING DOWN A TREE USING AN AXE.", "hu"],
  // Where it errs and we do not.
  ["结果，演员在舞台上吸食大麻，剧院本身也鼓励观众一起加入。", "zh"],
  ["우리 반이 영화를 보고 있다.", "ko"],
  // Tones apart from their letters; a URL and an address of mail, which are no text.
  ["Hôm nay trời đẹp quá.".normalize("NFD"), "vi"],
  [
    "见 https://www.example.com/the-quick-brown-fox-jumps-over-the-lazy-dog 与 someone.english@example.com",
    "zh",
  ],
  ["今天天气很好，我们去公园吧。", "zh"],
  ["Jana alikwenda sokoni kununua matunda na mboga kwa ajili ya familia yake.", "sw"],
  ["मलाई बिहान चिया पिउन मन पर्छ र म हरेक दिन कार्यालय जान्छु।", "ne"],
  ["मुझे सुबह चाय पीना पसंद है और मैं हर दिन दफ़्तर जाता हूँ।", "hi"],
  ["मला सकाळी चहा प्यायला आवडतो आणि मी दररोज कार्यालयात जातो.", "mr"],
])("%j is in %s", (text, language) => {
  expect(detectLanguage(text)).toBe(language);
});

test.each(["", "  \n", "12345 67.8 %", "?!...", "🙂🙂"])("nothing tells the language of %j", (text) => {
  expect(detectLanguage(text)).toBeUndefined();
});

const ENGLISH = "The lighthouse shines over the sea. ";
const GERMAN = "Der Leuchtturm leuchtet über das Meer. ";

test("the language of most of the text, of its first 10,000 characters", () => {
  expect(detectLanguage(ENGLISH.repeat(40) + GERMAN.repeat(120))).toBe("de");
  expect(detectLanguage(ENGLISH.repeat(120) + GERMAN.repeat(40))).toBe("en");
  expect(detectLanguage(ENGLISH.repeat(300) + GERMAN.repeat(3000))).toBe("en");
});
