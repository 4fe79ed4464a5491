// k replies of a server to each prompt, as they come. Which reply is asked for depends on (seed, stream, row, visit, sample) alone, by the
// request's own seed; whether a server heeds it is the server's affair, so what counts is what the reply cache keeps.
import { type RandomStream, UserError, uniform } from "@posttrain/data";
import type { Teacher, TeacherReply, TeacherRequest } from "./teacher.js";

export interface ServedPrompt {
  readonly messages: TeacherRequest["messages"];
  /** What its requests' seeds are drawn for; by default its place in the list. */
  readonly row?: number;
}

/** Settings that are not given are the server's. */
export interface ServedOptions extends Omit<TeacherRequest, "messages" | "seed"> {
  /** Replies to each prompt. Default: 1. */
  readonly samples?: number;
  readonly seed: number;
  readonly stream: RandomStream;
  /** Which visit to these prompts it is: another one asks with other seeds. Default: 0. */
  readonly visit?: number;
}

export type ServedRollout = TeacherReply & {
  /** Place in the list of prompts. */
  readonly prompt: number;
  readonly sample: number;
};

/**
 * All replies, in the order in which they come; one that failed says so in its place. Throws what concerns every request, as
 * `Teacher.ask`; then, and when nobody takes them any more, requests under way are given up (not at the end of a budget: they are paid for).
 */
export async function* rollOutServed(
  teacher: Teacher,
  prompts: readonly ServedPrompt[],
  { samples = 1, seed, stream, visit = 0, ...settings }: ServedOptions,
): AsyncGenerator<ServedRollout, void, undefined> {
  const abandon = new AbortController();
  const ask = async (place: number, sample: number): Promise<ServedRollout> => {
    const { messages, row = place } = prompts[place]!;
    // 31 bits: some servers keep it in a signed number of 32.
    const own = Math.floor(uniform(seed, stream, [row, visit, sample, 0]) * 2 ** 31);
    const reply = await teacher.ask({ ...settings, messages, seed: own }, abandon.signal);
    return { prompt: place, sample, ...reply };
  };
  const total = prompts.length * samples;
  let isPaid = false;
  const open = new Map<number, Promise<ServedRollout>>();
  try {
    for (let next = 0; ; ) {
      // More than the server takes at once, so that it need not wait for whoever takes the replies; never all of a long file.
      for (; next < total && open.size < 2 * teacher.concurrency; next++) {
        open.set(next, ask(Math.floor(next / samples), next % samples));
      }
      if (open.size === 0) return;
      const reply = await Promise.race(open.values());
      open.delete(reply.prompt * samples + reply.sample);
      yield reply;
    }
  } catch (error) {
    isPaid = error instanceof UserError && error.code === "budget_spent";
    throw error;
  } finally {
    if (!isPaid) abandon.abort();
    await Promise.allSettled(open.values());
  }
}
