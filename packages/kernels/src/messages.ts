// Messages between the ranks of one program that `mpirun` started: bytes of host memory, point to point (native/node/messages.cpp).
// Open MPI is opened at run time; without it the error says how to get it. A message between devices without the host's memory in
// between, by NCCL, would be another Messages.
import { KernelError } from "./errors.js";
import { native } from "./native.js";

export interface Messages {
  readonly rank: number;
  /** How many ranks there are. */
  readonly size: number;
  /** Settles when `bytes` may be used again. Messages to one rank arrive in the order in which they were sent. */
  send(rank: number, bytes: Uint8Array): Promise<void>;
  /** Fills `bytes`, whose length is that of what is sent. */
  receive(rank: number, bytes: Uint8Array): Promise<void>;
  /** Every rank must come here before it settles. */
  close(): Promise<void>;
}

/** Most bytes of one message; longer arrays travel in several. */
const most = 1 << 28;

const names = ["libmpi.so.40", "libmpi.so"];

/**
 * Joins the ranks that mpirun started. `library`: the file of Open MPI's library (default: where the system finds it). Throws KernelError
 * `kernel_device` where it cannot be opened.
 */
export function openMessages(library?: string): Messages {
  const { rank, size } = begin(library === undefined ? names : [library]);
  const inPieces = async (bytes: Uint8Array, post: (part: Uint8Array) => Promise<void>): Promise<void> => {
    const parts: Promise<void>[] = [];
    for (let at = 0; at < bytes.length; at += most) parts.push(post(bytes.subarray(at, at + most)));
    await Promise.all(parts);
  };
  return {
    rank,
    size,
    send: (to, bytes) => inPieces(bytes, (part) => native().sendMessage(to, part)),
    receive: (from, bytes) => inPieces(bytes, (part) => native().receiveMessage(from, part)),
    close: () => native().closeMessages(),
  };
}

function begin(files: readonly string[]): { readonly rank: number; readonly size: number } {
  const reasons: string[] = [];
  for (const file of files) {
    try {
      return native().openMessages(file);
    } catch (error) {
      if (!(error instanceof KernelError) || error.code !== "kernel_device") throw error;
      reasons.push(error.message.replace("openMessages: ", ""));
    }
  }
  throw new KernelError(
    "kernel_device",
    `Several ranks need Open MPI, which cannot be opened: ${reasons.join("; ")}. On Debian and Ubuntu: sudo apt-get install -y openmpi-bin. POSTTRAIN_MPI names the file of its library where it lies elsewhere.`,
  );
}
