// With what trained turns end, and whether generation stops there: for validate, init and the head of a run.
import { type ChatTemplate, type Tokenizer, type TurnEnds, templateEnd } from "@posttrain/data";
import { count, plural } from "./format.js";

/** `stops`: the ids at which the model's folder stops. `stage`: whose checkpoints will stop at others; without it, those of the run at hand. */
export function turnEndsText(
  { turns, ends, template }: TurnEnds,
  stops: readonly number[],
  stage?: string,
): string {
  const will =
    stage === undefined
      ? "the checkpoints will (eos_token_id of their generation_config.json and config.json)"
      : `a checkpoint of ${stage} will (eos_token_id of its generation_config.json and config.json)`;
  const ended = ends.reduce((sum, end) => sum + end.turns, 0);
  const parts = ends.map(({ id, token, turns: own }) => {
    const share = own === turns ? "" : ` (${count(own)} of ${count(turns)})`;
    const name = token === undefined ? `id ${id}` : `${token} (${id})`;
    return stops.includes(id)
      ? `${name}${share}, where generation stops`
      : `${name}${share}, where generation with this model does not stop: ${will}`;
  });
  if (ended === turns) return parts.join("; ");
  const written = template?.text
    ? `: the template writes ${JSON.stringify(template.text)} after an answer, which is no token of its own`
    : "";
  const without =
    `${ended === 0 ? (turns === 1 ? "the trained turn ends" : `all ${plural(turns, "trained turn")} end`) : `${plural(turns - ended, "trained turn")} ${turns - ended === 1 ? "ends" : "end"}`} ` +
    `without an end token${written}. Nothing in them teaches where to stop`;
  const remedy = template?.text
    ? `; generate, chat and evaluate stop there with --stop ${JSON.stringify(template.text)}`
    : "";
  return [...parts, ended === 0 ? `${without}${remedy}` : without].join("; ");
}

/** A warning where the chat template ends turns with a token, or a text, at which generation does not stop. */
export function unstoppedTemplate(
  { tokenizer, template }: { readonly tokenizer: Tokenizer; readonly template: ChatTemplate },
  stopIds: readonly number[],
  stop: readonly string[],
): string | undefined {
  const end = templateEnd(tokenizer, template);
  if (end === undefined || end.text === "" || stop.includes(end.text)) return undefined;
  if (end.id !== undefined && stopIds.includes(end.id)) return undefined;
  const [what, how] =
    end.id === undefined
      ? [JSON.stringify(end.text), `--stop ${JSON.stringify(end.text)}`]
      : [`${end.text} (${end.id})`, `--stop_ids ${end.id}`];
  return `The chat template ends turns with ${what}, where generation does not stop: ${how} does.`;
}

/** {@link turnEndsText} for --json. */
export function turnEndsJson({ turns, ends }: TurnEnds, stops: readonly number[]): object {
  return {
    turns,
    ends: ends.map(({ id, token, turns: own }) => ({
      id,
      token: token ?? null,
      turns: own,
      generation_stops: stops.includes(id),
    })),
    without: turns - ends.reduce((sum, end) => sum + end.turns, 0),
  };
}
