// The ranks that train together: processes that mpirun started, on one machine or several, each with a device of its own. Every rank does the
// same things in the same order; what they tell each other goes through here.
import { deserialize, serialize } from "node:v8";
import type { Device, Messages } from "@posttrain/kernels";

export interface Ranks extends Pick<Messages, "rank" | "size" | "send" | "receive"> {
  /** What every rank has, in the order of ranks: anything that structuredClone takes. */
  exchange<T>(own: T): Promise<readonly T[]>;
  /** What rank 0 has. */
  broadcast<T>(own: T): Promise<T>;
}

const nobody = (): never => {
  throw new Error("there is no other rank");
};

/** A process that trains alone. */
export const alone: Ranks = {
  rank: 0,
  size: 1,
  send: nobody,
  receive: nobody,
  exchange: async (own) => [own],
  broadcast: async (own) => own,
};

export function ranksOf({ messages }: Pick<Device, "messages">): Ranks {
  if (messages === undefined || messages.size === 1) return alone;
  const { rank, size } = messages;
  const others = Array.from({ length: size }, (_, other) => other).filter((other) => other !== rank);
  const tell = async (to: number, bytes: Uint8Array): Promise<void> => {
    const length = new Uint8Array(Float64Array.of(bytes.length).buffer);
    await Promise.all([messages.send(to, length), messages.send(to, bytes)]);
  };
  const hear = async <T>(from: number): Promise<T> => {
    const length = new Float64Array(1);
    await messages.receive(from, new Uint8Array(length.buffer));
    const bytes = new Uint8Array(length[0] as number);
    await messages.receive(from, bytes);
    return deserialize(bytes) as T;
  };
  return {
    rank,
    size,
    send: messages.send,
    receive: messages.receive,
    exchange: async <T>(own: T) => {
      const bytes = serialize(own);
      const [values] = await Promise.all([
        Promise.all(Array.from({ length: size }, (_, from) => (from === rank ? own : hear<T>(from)))),
        ...others.map((to) => tell(to, bytes)),
      ]);
      return values;
    },
    broadcast: async (own) => {
      if (rank !== 0) return hear(0);
      const bytes = serialize(own);
      await Promise.all(others.map((to) => tell(to, bytes)));
      return own;
    },
  };
}
