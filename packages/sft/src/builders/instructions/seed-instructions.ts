// Instructions that AutoIF begins with where the user gives none: each asks for one thing that a program can see in the answer alone.
export const seedInstructions: readonly string[] = `
Answer in fewer than thirty words
Answer with exactly three sentences
Begin every sentence with the same letter
Do not use the letter "a"
Use no word twice
Write every word in capital letters
Write the whole answer in small letters
End every sentence with an exclamation mark
Use no punctuation at all
Answer with a list of exactly four numbered points
Put each sentence on a line of its own
Begin the answer with the word "Certainly"
End the answer with the word "indeed"
Use only words of at most six letters
Use at least one word of more than twelve letters
Mention at least two numbers written with digits
Write no numbers, neither digits nor words for them
Answer with a single question
Put the last sentence in parentheses
Put exactly two words in double quotation marks
Use the word "because" at least twice
Do not use the words "the" and "is"
Write exactly two paragraphs with an empty line between them
Make every paragraph begin with the same word
Write sentences of at most eight words
Make each sentence longer than the one before it
Begin the words of the answer with letters in alphabetical order
Separate all sentences with a line that holds three hyphens
Answer as a JSON object with the one key "answer"
Wrap every noun that is a name in asterisks
Write a heading that begins with "# " before the answer
Repeat the last word of the answer three times at its end
Use exactly one comma
Answer with an even number of words
Let the first and the last letter of the answer be the same
Write the answer as a table in Markdown with two columns
`
  .trim()
  .split("\n");
