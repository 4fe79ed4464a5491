// Published weights over HTTP, for machines that share no folder: GET /OWNER/models/<SHA-256>.json and /OWNER/tensors/<SHA-256>, whole or from a byte on (Range), and nothing else.
// Only the names that a publisher gives are answered, so no path leads out of its folder.
import { createHash, timingSafeEqual } from "node:crypto";
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { isIP } from "node:net";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { UserError } from "@posttrain/data";

export interface WeightsServer extends AsyncDisposable {
  /** http://HOST:PORT */
  readonly url: string;
}

const pathOf = /^\/(models\/[0-9a-f]{64}\.json|tensors\/[0-9a-f]{64})$/;

/**
 * Serves what the publisher of `folder` (its part of a folder of weights) has there. `address` is [HOST:]PORT, HOST 127.0.0.1 where there is none; port 0 takes a free one. UserError
 * `bad_option` for what is no address, or one beyond this machine without a token; `port_taken`.
 */
export async function serveWeights(
  folder: string,
  address: string,
  token: string | undefined,
): Promise<WeightsServer> {
  const { host, port } = addressOf(address);
  if (!isLoopback(host) && token === undefined)
    throw new UserError(
      "bad_option",
      `serve_weights ${address} would give the weights to everybody who reaches ${host}. Set POSTTRAIN_WEIGHTS_TOKEN, here and for the workers, or serve this machine alone: --serve_weights ${port}`,
    );
  const server = createServer((request, response) => {
    answer(folder, token, request, response).catch(() => response.destroy());
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", (cause: NodeJS.ErrnoException) => {
      reject(
        new UserError(
          "port_taken",
          `serve_weights ${address} cannot be listened at (${cause.message}). Give another port or host.`,
          {
            cause,
          },
        ),
      );
    });
    server.listen(port, host, resolve);
  });
  const bound = server.address() as { readonly port: number };
  return {
    url: `http://${host.includes(":") ? `[${host}]` : host}:${bound.port}`,
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function addressOf(text: string): { readonly host: string; readonly port: number } {
  const [, bracketed, plain, port = ""] = /^(?:(?:\[([^\]]+)\]|([^:[\]]+)):)?(\d{1,5})$/.exec(text) ?? [];
  if (port === "" || Number(port) > 65_535)
    throw new UserError(
      "bad_option",
      `serve_weights is ${JSON.stringify(text)}, expected PORT or HOST:PORT ([::1]:PORT for IPv6), such as 7070 or 10.0.0.5:7070.`,
    );
  return { host: bracketed ?? plain ?? "127.0.0.1", port: Number(port) };
}

const isLoopback = (host: string): boolean =>
  host === "localhost" || host === "::1" || (isIP(host) === 4 && host.startsWith("127."));

async function answer(
  folder: string,
  token: string | undefined,
  { method, url = "", headers }: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const end = (status: number, more: Readonly<Record<string, string>> = {}): void => {
    response.writeHead(status, more).end();
  };
  if (token !== undefined && !isSame(headers.authorization ?? "", `Bearer ${token}`)) return end(401);
  const [, name] = pathOf.exec(url) ?? [];
  if (method !== "GET") return end(405);
  if (name === undefined) return end(404);
  const path = join(folder, name);
  const size = await stat(path).then(
    (found) => found.size,
    () => undefined,
  );
  if (size === undefined) return end(404);
  const [, first] = /^bytes=(\d+)-$/.exec(headers.range ?? "") ?? [];
  const start = Number(first ?? 0);
  if (start > 0 && start >= size) return end(416, { "content-range": `bytes */${size}` });
  response.writeHead(first === undefined ? 200 : 206, {
    "content-type": "application/octet-stream",
    "content-length": String(size - start),
    "accept-ranges": "bytes",
    ...(first !== undefined && { "content-range": `bytes ${start}-${size - 1}/${size}` }),
  });
  await pipeline(createReadStream(path, { start }), response);
}

/** In a time that tells nothing of where they differ. */
function isSame(a: string, b: string): boolean {
  const digest = (text: string): Buffer => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(a), digest(b));
}
