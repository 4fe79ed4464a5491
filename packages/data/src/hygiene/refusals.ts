/** Answers that decline, as assistants word it, in the languages that such rows are most often in. Only the beginning is looked at: later on, it may be quoted. */

const BEGINNING = 300;

const phrases: readonly RegExp[] = [
  /\bas an? (?:ai|artificial intelligence|(?:large )?language model)\b/,
  /\bi(?: am|'m) (?:just |only )?an? (?:ai|artificial intelligence|(?:large )?language model)\b/,
  /\b(?:i(?: am|'m)(?: very| really| so)? sorry|(?:i )?apologi[sz]e|sorry|unfortunately)\b[^.!?\n]{0,60}\b(?:can ?not|can't|could not|couldn't|unable to|not able to|won't|not allowed to|not comfortable)\b/,
  /\bi (?:can ?not|can't|won't|will not|must decline to|am (?:not able|unable|not allowed) to|'m (?:not able|unable|not allowed) to)\s+(?:assist|help|provide|fulfil?l|comply|engage|answer|create|generate|support|do that|discuss)\b/,
  /\bi(?:'m| am) (?:not able|unable) to\s+(?:assist|help|provide|fulfil?l|comply|answer|create|generate)\b/,
  /作为(?:一个|一名|一款)?(?:人工智能|ai|语言模型|大型语言模型)/,
  /(?:抱歉|对不起|很遗憾)[^。！？\n]{0,20}(?:不能|无法|不便|没有办法)/,
  /\bals (?:ki|ki-modell|künstliche intelligenz|sprachmodell)\b/,
  /\b(?:es tut mir leid|tut mir leid|leider)\b[^.!?\n]{0,60}\b(?:nicht (?:helfen|beantworten|unterstützen|erfüllen|weiterhelfen))/,
  /\ben tant qu(?:e |')(?:ia|intelligence artificielle|modèle de langage|assistant)/,
  /désolée?[^.!?\n\p{L}][^.!?\n]{0,60}\bne (?:peux|puis) pas\b/u,
  /\bcomo (?:una? )?(?:ia|inteligencia artificial|modelo de lenguaje)\b/,
  /\b(?:lo siento|lamento)\b[^.!?\n]{0,60}\bno puedo\b/,
];

/** The words that decline; undefined where nothing does. */
export function refusal(answer: string): string | undefined {
  const beginning = answer
    .slice(0, BEGINNING)
    .toLowerCase()
    .replace(/[\u2018\u2019\u02bc]/g, "'");
  for (const phrase of phrases) {
    const found = phrase.exec(beginning);
    if (found !== null) return found[0];
  }
  return undefined;
}
