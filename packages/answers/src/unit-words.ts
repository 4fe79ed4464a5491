/**
 * Words that graders take off the end of an answer. Facts: the list of QwenLM/Qwen2.5-Math evaluation/parser.py, made
 * from MathQA (MIT), and its form in huggingface/latex2sympy2_extended math_normalization.py (MIT); their oddities are
 * theirs and are kept, since a published number depends on them.
 */
const SHARED =
  "degree|mph|kmph|ft|sq m|deg|mile|q .|monkey|prime|ratio|profit of rs|rd|o|gm|p . m|lb|tile|per|dm|lt|gain|ab|way|west|" +
  "a .|b .|c .|d .|e .|f .|g .|h .|t";
const TAIL =
  "h|no change|men|soldier|pie|bc|excess|st|inches|noon|@|by|gal|kmh|c|acre|rise|a . m|th|π r 2|sq|mark|l|toy|coin|sq . m|" +
  "gallon|° f|profit|minw|yr|women|@@|am|pm|hr|cu cm|square|v â € ™|are|rupee|rounds|cubic|cc|mtr|s|ohm|number|kmph|day|hour|" +
  "minute|min|second|man|woman|sec|cube|mt|sq inch|mp|∏ cm ³|hectare|more|sec|unit|cu . m|cm 2|rs .|rs|kg|g|month|km|m|cm|" +
  "mm|apple|liter|loss|yard|pure|year|increase|decrease|d|less|Surface|litre|pi sq m|s .|metre|meter|inch";

export const QWEN_UNITS: readonly string[] = (() => {
  const words = [
    "east",
    ...SHARED.replace("ft|", "ft|m sqaure| m east|").split("|"),
    "a",
    ...TAIL.replace("@@", "feet").replace("@", "percent").split("|"),
  ];
  return [...words, ...words.map((word) => `${word}s`)];
})();

export const MATH_VERIFY_UNITS: readonly string[] = [
  ..."integerpoint|feet|sue|digit|pound|meal|edge|student|children ticket|multiple|east".split("|"),
  ...SHARED.replace("ft|", "ft|m square| m east|").split("|"),
  ...TAIL.replace("@@|", "").replace("@", "cent").split("|"),
];
