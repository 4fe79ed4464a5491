// A soft punishment for responses that run long (DAPO, arXiv 2503.14476): 0 up to the buffer before the limit, falling in a straight line to
// -1 at the limit, -1 beyond it.

/** Of a response of `length` tokens; `limit` tokens are the most, the last `buffer` of them cost. */
export function overlongPunishment(length: number, limit: number, buffer: number): number {
  if (length <= limit - buffer) return 0;
  return length <= limit ? (limit - buffer - length) / buffer : -1;
}
