import type { RowPlace } from "./reading/place.js";

/**
 * The one error type for mistakes that a user can mend: a file, a row, a flag, a folder.
 * Its message is one clear paragraph that names the place, what was expected, what came and what to do;
 * the command line prints it without a stack and exits with 1. Anything else that is thrown is our own bug.
 */
export class UserError extends Error {
  override readonly name = "UserError";
  /** Stable and snake_case, such as `bad_row`: for programs; the message is for people. */
  readonly code: string;
  /** The row that it is about, where the message begins with it. */
  readonly place: RowPlace | undefined;

  constructor(
    code: string,
    message: string,
    options?: { readonly cause?: unknown; readonly place?: RowPlace },
  ) {
    super(message, options);
    this.code = code;
    this.place = options?.place;
  }
}

/** What `body` returns, or the UserError that it throws. */
export function userErrorOr<T>(body: () => T): T | UserError {
  try {
    return body();
  } catch (error) {
    if (error instanceof UserError) return error;
    throw error;
  }
}
