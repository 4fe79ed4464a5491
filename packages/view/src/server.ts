// The page's server, on the loopback interface alone. It serves the page's own files and the answers that it was handed, and nothing else: paths
// are looked up in tables. Pages of other sites reach it neither by a name of their own (the Host header is checked) nor by reading across origins.
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { UserError } from "@posttrain/data";
import type { ErrorAnswer } from "./api.js";

/** Answers by the last part of their path: /api/<name>. What a UserError says is shown on the page. */
export type Answers = Readonly<Record<string, (query: URLSearchParams) => Promise<object>>>;

export interface ViewServer {
  readonly url: string;
  close(): Promise<void>;
}

const address = "127.0.0.1";
/** A tunnel has a port of its own, so only names count. */
const loopbackNames = new Set(["127.0.0.1", "localhost", "[::1]"]);

const headers = {
  "content-security-policy":
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
  "cache-control": "no-cache",
} as const;

const types: Readonly<Record<string, string>> = {
  html: "text/html; charset=utf-8",
  css: "text/css; charset=utf-8",
  svg: "image/svg+xml",
  js: "text/javascript; charset=utf-8",
};

interface Reply {
  readonly status: number;
  readonly type: string;
  readonly body: string | Buffer;
}

/** Port 0: a free one. UserError `port_in_use`. */
export async function openViewServer(port: number, answers: Answers): Promise<ViewServer> {
  const files = pageFiles();
  const server = createServer((request, response) => {
    void reply(request, files, answers).then((found) => send(request, response, found));
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => reject(refusedPort(port, error)));
    server.listen(port, address, resolve);
  });
  const { port: own } = server.address() as AddressInfo;
  return {
    url: `http://${address}:${own}/`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function refusedPort(port: number, error: NodeJS.ErrnoException): Error {
  if (error.code === "EADDRINUSE") {
    return new UserError(
      "port_in_use",
      `--port ${port}: another program listens there, perhaps another posttrain view. Give another port, or none for a free one.`,
    );
  }
  if (error.code === "EACCES") {
    return new UserError(
      "port_refused",
      `--port ${port}: the system does not give it to this user. Give one above 1023, or none for a free one.`,
    );
  }
  return error;
}

async function reply(
  { method, url, headers: asked }: IncomingMessage,
  files: ReadonlyMap<string, Reply>,
  answers: Answers,
): Promise<Reply> {
  if (!loopbackNames.has((asked.host ?? "").replace(/:\d+$/, ""))) {
    return plain(403, "This page is served to 127.0.0.1 and localhost alone.");
  }
  if (method !== "GET") return plain(405, "This page only reads: GET is all it takes.");
  const [path = "/", query = ""] = (url ?? "/").split("?", 2);
  const file = files.get(path);
  if (file !== undefined) return file;
  const name = /^\/api\/(\w+)$/.exec(path)?.[1] ?? "";
  const answer = Object.hasOwn(answers, name) ? answers[name] : undefined;
  if (answer === undefined) return plain(404, "There is no such page.");
  try {
    return json(200, await answer(new URLSearchParams(query)));
  } catch (error) {
    const said = error instanceof Error ? error.message : String(error);
    const mistake = error instanceof UserError || (error instanceof Error && "syscall" in error);
    const answered: ErrorAnswer = { error: mistake ? said : `A bug of posttrain: ${said}` };
    return json(mistake ? 400 : 500, answered);
  }
}

function send(request: IncomingMessage, response: ServerResponse, { status, type, body }: Reply): void {
  const tag = `"${createHash("sha256").update(body).digest("base64url")}"`;
  const known = status === 200 && request.headers["if-none-match"] === tag;
  response.writeHead(known ? 304 : status, {
    ...headers,
    "content-type": type,
    ...(status === 200 && { etag: tag }),
    ...(status === 405 && { allow: "GET" }),
  });
  response.end(known ? undefined : body);
}

const plain = (status: number, text: string): Reply => ({
  status,
  type: "text/plain; charset=utf-8",
  body: `${text}\n`,
});

const json = (status: number, value: object): Reply => ({
  status,
  type: "application/json; charset=utf-8",
  body: JSON.stringify(value),
});

/** Everything that the page is made of, by its path; read once. */
function pageFiles(): ReadonlyMap<string, Reply> {
  const folders = [new URL("../page/", import.meta.url), new URL("../dist/page/", import.meta.url)];
  const files = folders.flatMap((folder) =>
    readdirSync(folder).map((name) => ({ name, path: new URL(name, folder) })),
  );
  return new Map(
    files.flatMap(({ name, path }) => {
      const type = types[name.split(".").at(-1) ?? ""];
      if (type === undefined) return [];
      const served: Reply = { status: 200, type, body: readFileSync(path) };
      return [[name === "index.html" ? "/" : `/${name}`, served] as const];
    }),
  );
}
