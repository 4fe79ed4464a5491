/**
 * The one error type for mistakes that a user can mend: a file, a row, a flag, a folder.
 * Its message is one clear paragraph that names the place, what was expected, what came and what to do;
 * the command line prints it without a stack and exits with 1. Anything else that is thrown is our own bug.
 */
export class UserError extends Error {
  override readonly name = "UserError";
  /** Stable and snake_case, such as `bad_row`: for programs; the message is for people. */
  readonly code: string;

  constructor(code: string, message: string, options?: { readonly cause?: unknown }) {
    super(message, options);
    this.code = code;
  }
}
