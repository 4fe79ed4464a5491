/** Calls into an interpreter from this process: what comes back is decoded here, and trusted as little as it is. */
import { type Raised, responseOf } from "./asserts.js";
import type { Interpreter } from "./interpreter.js";
import { decodePlain, encodeJson, type Plain } from "./plain.js";

/** Finds a function in a loaded interpreter: its number there, or undefined if there is no such function. */
export async function findFunction(interpreter: Interpreter, name: string): Promise<number | undefined> {
  interpreter.send(JSON.stringify({ op: "names", names: [name] }));
  const names = responseOf((await interpreter.receive()) ?? "")["names"];
  const found =
    typeof names === "object" && names !== null ? (names as Record<string, unknown>)[name] : undefined;
  const value =
    typeof found === "object" && found !== null ? (found as { value?: unknown }).value : undefined;
  return Array.isArray(value) && value[0] === "o" && typeof value[1] === "number" ? value[1] : undefined;
}

interface Call {
  readonly args: readonly unknown[];
  readonly kwargs?: Readonly<Record<string, unknown>> | undefined;
  readonly only: "result" | "arguments";
}

type Called =
  | { readonly kind: "value"; readonly value: Plain; readonly code: unknown }
  | { readonly kind: "raised"; readonly raised: Raised }
  /** One of the encoded arguments is no value. */
  | { readonly kind: "malformed" }
  | { readonly kind: "gone" };

/** `args` are JSON values, or, when `encoded` is set, values already encoded, each on its own. */
export async function callFunction(
  interpreter: Interpreter,
  number: number,
  call: Call,
  encoded = false,
): Promise<Called> {
  const args = encoded ? call.args : ["l", call.args.map(encodeJson)];
  const kwargs = encodeJson(call.kwargs ?? {});
  interpreter.send(
    JSON.stringify({
      op: "operate",
      do: "call",
      on: ["o", number],
      args,
      kwargs,
      only: call.only,
      apart: encoded,
    }),
  );
  const line = await interpreter.receive();
  if (!line?.startsWith("=")) return { kind: "gone" };
  const response = responseOf(line);
  if (response["malformed"] !== undefined && encoded) return { kind: "malformed" };
  if (response["raised"] !== undefined) return { kind: "raised", raised: response as unknown as Raised };
  try {
    return { kind: "value", value: decodePlain(response["value"]), code: response["value"] };
  } catch (error) {
    // A value that no encoder wrote, or one too deep to walk.
    return { kind: "raised", raised: { text: `what came is no answer: ${error}`, line: null, module: null } };
  }
}
