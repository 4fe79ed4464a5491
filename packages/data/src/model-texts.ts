/** A model folder's tokenizer and chat template, as far as rows need them. */
import type { ChatTemplate } from "./chat-template.js";
import { type RowPlace, rowError } from "./reading/place.js";
import type { Tokenizer } from "./tokenizer.js";

/** Given, or loaded when the first row needs it, or absent: then a row that needs it is an error. */
export type WhenNeeded<T> = T | (() => Promise<T>) | undefined;

export interface ModelTextSources {
  readonly tokenizer: WhenNeeded<Tokenizer>;
  readonly template: WhenNeeded<ChatTemplate>;
}

export interface ModelTexts {
  /** `chat`: whether the row needs the template too. */
  need(
    chat: boolean,
    place: RowPlace,
  ): Promise<{ readonly tokenizer: Tokenizer; readonly template: ChatTemplate | undefined }>;
  loaded(): { readonly tokenizer: Tokenizer | undefined; readonly template: ChatTemplate | undefined };
}

/** Tokenizer and template, loaded when the first row needs them. What fails to load ends the reading. */
export function modelTexts(options: ModelTextSources): ModelTexts {
  const loaded: { tokenizer?: Tokenizer | undefined; template?: ChatTemplate | undefined } = {};
  const load = async <T>(source: WhenNeeded<T>): Promise<T | undefined> =>
    typeof source === "function" ? (source as () => Promise<T>)() : source;
  return {
    need: async (chat, place) => {
      loaded.tokenizer ??= await load(options.tokenizer);
      if (!loaded.tokenizer) {
        throw rowError(
          "missing_tokenizer",
          place,
          "a row of text needs the model's tokenizer, and there is none. Name a model folder that has one, or give tokenised rows.",
        );
      }
      if (chat) loaded.template ??= await load(options.template);
      return { tokenizer: loaded.tokenizer, template: loaded.template };
    },
    loaded: () => ({ tokenizer: loaded.tokenizer, template: loaded.template }),
  };
}
