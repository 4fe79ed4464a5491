// Manners of the page's server: who is answered, what is served, what a browser is told to allow.
import { request } from "node:http";
import { connect } from "node:net";
import { UserError } from "@posttrain/data";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openViewServer, type ViewServer } from "../src/server.js";

let server: ViewServer;
let port: number;
let count = 0;
beforeAll(async () => {
  server = await openViewServer(0, {
    echo: async (query) => ({ said: query.get("say") }),
    count: async () => ({ count }),
    mistake: async () => {
      throw new UserError("bad_query", "step is 'x', expected a whole number.");
    },
    bug: async () => {
      throw new TypeError("undefined is not a function");
    },
  });
  port = Number(new URL(server.url).port);
});
afterAll(() => server.close());

interface Got {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
}

/** Paths go out as they are given. */
function get(
  path: string,
  options: { readonly method?: string; readonly headers?: Record<string, string> } = {},
): Promise<Got> {
  return new Promise((resolve, reject) => {
    const asked = request({ host: "127.0.0.1", port, path, method: "GET", ...options }, (response) => {
      let body = "";
      response.setEncoding("utf8").on("data", (part: string) => {
        body += part;
      });
      response.on("end", () =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body }),
      );
    });
    asked.on("error", reject).end();
  });
}

test("listens on the loopback interface alone", () => {
  expect(server.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/$/);
});

test.each(["localhost", "localhost:8000", "127.0.0.1:1", "[::1]:80"])(
  "answers to the host %s",
  async (host) => {
    expect((await get("/", { headers: { host } })).status).toBe(200);
  },
);

test.each(["evil.example", "evil.example:80", "127.0.0.1.evil.example", "localhost.evil.example", "0.0.0.0"])(
  "refuses the host %j, with files and answers alike",
  async (host) => {
    for (const path of ["/", "/main.js", "/api/echo?say=x"]) {
      const { status, body } = await get(path, { headers: { host } });
      expect(status).toBe(403);
      expect(body).not.toContain('x"');
    }
  },
);

test.each(["POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"])("refuses %s", async (method) => {
  const { status, headers } = await get("/api/echo", { method });
  expect(status).toBe(405);
  expect(headers["allow"]).toBe("GET");
});

test.each([
  "/../package.json",
  "/%2e%2e/package.json",
  "/..%2fpackage.json",
  "/page/../../../../etc/passwd",
  "//etc/passwd",
  "/main.ts",
  "/api/",
  "/api/__proto__",
  "/api/constructor",
  "/api/echo/../../style.css",
  "/index.html",
])("has nothing at %s", async (path) => {
  expect((await get(path)).status).toBe(404);
});

test.each([
  ["a request line that is none of HTTP's", "GET ../../etc/passwd\r\n\r\n", "400 Bad Request"],
  ["a request without a host", "GET / HTTP/1.0\r\n\r\n", "403 Forbidden"],
])("%s is refused, and hurts nobody", async (_, text, expected) => {
  const said = await new Promise<string>((resolve) => {
    const socket = connect(port, "127.0.0.1", () => socket.end(text));
    let got = "";
    socket.on("data", (part) => {
      got += part;
    });
    socket.on("close", () => resolve(got));
  });
  expect(said).toContain(expected);
  expect((await get("/")).status).toBe(200);
});

test("everything is served under a policy that lets nothing in from elsewhere", async () => {
  for (const path of ["/", "/style.css", "/main.js", "/icon.svg", "/api/echo", "/nothing"]) {
    const { headers } = await get(path);
    const policy = String(headers["content-security-policy"]);
    expect(policy).toContain("default-src 'none'");
    expect(policy).toContain("frame-ancestors 'none'");
    expect(policy).toContain("require-trusted-types-for 'script'");
    expect(policy).not.toMatch(/unsafe|https?:|\*/);
    expect(headers).toMatchObject({
      "x-content-type-options": "nosniff",
      "cross-origin-resource-policy": "same-origin",
      "referrer-policy": "no-referrer",
    });
    expect(headers["access-control-allow-origin"]).toBeUndefined();
  }
});

test("the page names no other host", async () => {
  const page = await get("/");
  const names = [...page.body.matchAll(/(?:src|href)="([^"#]+)"/g)].map(([, name]) => `/${name}`);
  expect(names.sort()).toEqual(["/icon.svg", "/main.js", "/style.css"]);
  for (const name of names) {
    const { status, body } = await get(name);
    expect(status).toBe(200);
    expect(body.replaceAll("http://www.w3.org/2000/svg", "")).not.toMatch(/https?:\/\//);
  }
});

test("what has not changed is not sent again", async () => {
  const first = await get("/api/count");
  const tag = String(first.headers["etag"]);
  const again = await get("/api/count", { headers: { "if-none-match": tag } });
  expect([again.status, again.body]).toEqual([304, ""]);
  count = 1;
  const changed = await get("/api/count", { headers: { "if-none-match": tag } });
  expect([changed.status, changed.body]).toEqual([200, '{"count":1}']);
});

test("answers: JSON, mistakes as such, bugs as ours", async () => {
  const { headers, body } = await get(`/api/echo?say=${encodeURIComponent("<script>&\u202e")}`);
  expect(headers["content-type"]).toBe("application/json; charset=utf-8");
  expect(JSON.parse(body)).toEqual({ said: "<script>&\u202e" });
  const mistake = await get("/api/mistake");
  expect([mistake.status, JSON.parse(mistake.body)]).toEqual([
    400,
    { error: "step is 'x', expected a whole number." },
  ]);
  const bug = await get("/api/bug");
  expect([bug.status, JSON.parse(bug.body)]).toEqual([
    500,
    { error: "A bug of posttrain: undefined is not a function" },
  ]);
});

test("a port that is taken is a mistake with its remedy", async () => {
  await expect(openViewServer(port, {})).rejects.toThrow(
    new RegExp(`^--port ${port}: another program listens there.* none for a free one\\.$`),
  );
});
