// Ranks without mpirun: devices of one process, whose messages pass through its memory.
import { type Device, type Messages, openDevice } from "@posttrain/kernels";

/** Messages between `size` ranks. */
function localMessages(size: number): readonly Messages[] {
  const sent = new Map<string, Uint8Array[]>();
  const waiting = new Map<string, (() => void)[]>();
  const of = <T>(map: Map<string, T[]>, key: string): T[] => {
    const list = map.get(key) ?? [];
    map.set(key, list);
    return list;
  };
  const turns = new Map<string, Promise<unknown>>();
  return Array.from({ length: size }, (_, rank) => ({
    rank,
    size,
    send: async (to, bytes) => {
      const key = `${rank} ${to}`;
      of(sent, key).push(bytes.slice());
      of(waiting, key).shift()?.();
    },
    receive: (from, bytes) => {
      const key = `${from} ${rank}`;
      const take = async (): Promise<void> => {
        if (of(sent, key).length === 0) await new Promise<void>((resolve) => of(waiting, key).push(resolve));
        const message = of(sent, key).shift() as Uint8Array;
        if (message.length !== bytes.length) {
          throw new Error(
            `rank ${from} sent ${message.length} bytes to rank ${rank}, which expects ${bytes.length}`,
          );
        }
        bytes.set(message);
      };
      const turn = (turns.get(key) ?? Promise.resolve()).then(take);
      turns.set(key, turn);
      return turn;
    },
    close: async () => undefined,
  }));
}

/** Runs `body` on `size` ranks at once, each with a device of one thread, and returns what they give. */
export async function onRanks<T>(size: number, body: (device: Device) => Promise<T>): Promise<readonly T[]> {
  const devices = localMessages(size).map((messages) => openDevice({ threads: 1, messages }));
  try {
    return await Promise.all(devices.map(body));
  } finally {
    await Promise.all(devices.map((device) => device.close()));
  }
}
