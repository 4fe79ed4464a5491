// A real HTTP server that speaks OpenAI's protocol by script: each request takes the next of `answers`, else what `otherwise` says: an echo.
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface ServedRequest {
  readonly messages: readonly { readonly role: string; readonly content: string }[];
  readonly [setting: string]: unknown;
}

export type Answer = (body: ServedRequest, response: ServerResponse) => void;

export interface ScriptedServer {
  readonly baseUrl: string;
  answers: Answer[];
  /** What was asked, in order. */
  bodies: ServedRequest[];
  headers: IncomingMessage["headers"][];
  reset(): void;
  close(): void;
}

export async function openScriptedServer(otherwise: Answer = echo): Promise<ScriptedServer> {
  const server = createServer((request, response) => {
    let text = "";
    request.on("data", (chunk: Buffer) => {
      text += chunk;
    });
    request.on("end", () => {
      const body = JSON.parse(text);
      scripted.bodies.push(body);
      scripted.headers.push(request.headers);
      (scripted.answers.shift() ?? otherwise)(body, response);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const scripted: ScriptedServer = {
    baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    answers: [],
    bodies: [],
    headers: [],
    reset: () => Object.assign(scripted, { answers: [], bodies: [], headers: [] }),
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
  return scripted;
}

/** Clients that try again are told to do so at once. */
export const json =
  (status: number, value: unknown): Answer =>
  (_, response) => {
    response.writeHead(status, { "content-type": "application/json", "retry-after-ms": "1" });
    response.end(JSON.stringify(value));
  };

export const completion = (content: unknown, more: object = {}, finish = "stop") => ({
  id: "x",
  object: "chat.completion",
  choices: [{ index: 0, message: { role: "assistant", content, ...more }, finish_reason: finish }],
  usage: { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 },
});

export function echo(body: ServedRequest, response: ServerResponse): void {
  json(200, completion(`said: ${body.messages.at(-1)?.content}`))(body, response);
}
