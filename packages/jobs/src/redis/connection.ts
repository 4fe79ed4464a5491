// Where Redis is, from one URL, and a connection to it. What is secret in the URL is in no message: `shown` is what may be printed.
import { UserError } from "@posttrain/data";
import { Redis, type RedisOptions } from "ioredis";

export interface RedisAddress {
  readonly options: RedisOptions;
  /** Before every key. */
  readonly prefix: string;
  /** The URL without user and password. */
  readonly shown: string;
}

export interface RedisConnection {
  readonly client: Redis;
  readonly address: RedisAddress;
}

const SPELLING =
  "Expected redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE], rediss:// for TLS, with ?prefix=NAME for names of your own.";
/** Until a first answer. */
const CONNECT_MS = 10_000;

/** UserError `bad_redis`. */
function redisAddress(text: string): RedisAddress {
  const refuse = (why: string): never => {
    throw new UserError("bad_redis", `The URL of Redis ${why}. ${SPELLING}`);
  };
  const url = URL.canParse(text) ? new URL(text) : refuse("is none");
  const isTls = url.protocol === "rediss:";
  if (!isTls && url.protocol !== "redis:") refuse(`begins with ${url.protocol}//`);
  if (url.hostname === "") refuse("names no host");
  const [, database = "0"] = /^\/?(\d*)$/.exec(url.pathname) ?? refuse(`has the path ${url.pathname}`);
  const unknown = [...url.searchParams.keys()].find((name) => name !== "prefix");
  if (unknown !== undefined) refuse(`has ?${unknown}=`);
  const prefix = url.searchParams.get("prefix") ?? "posttrain";
  if (!/^[\w.-]+$/.test(prefix))
    refuse(`has the prefix ${JSON.stringify(prefix)}: letters, digits, _, . and - are`);
  const host = url.hostname.replace(/^\[(.*)\]$/, "$1");
  const port = url.port === "" ? 6379 : Number(url.port);
  return {
    options: {
      host,
      port,
      db: Number(database || 0),
      ...(url.username !== "" && { username: decodeURIComponent(url.username) }),
      ...(url.password !== "" && { password: decodeURIComponent(url.password) }),
      ...(isTls && { tls: { servername: host } }),
    },
    prefix,
    shown: `${url.protocol}//${url.host}/${Number(database || 0)}`,
  };
}

/**
 * Connects, once: a Redis that is not there is a mistake to be told. A connection that is lost later is made again for as long as it takes; commands wait.
 * UserError `bad_redis`, `no_redis`.
 */
export async function connectRedis(url: string): Promise<RedisConnection> {
  const address = redisAddress(url);
  let wasReady = false;
  const options: RedisOptions = {
    ...address.options,
    lazyConnect: true,
    connectTimeout: CONNECT_MS,
    // Commands outlive a lost connection.
    maxRetriesPerRequest: null,
    retryStrategy: (times) => (wasReady ? Math.min(times * 100, 2000) : null),
  };
  const client = new Redis({ ...options, replyMapping: "legacy" });
  try {
    await new Promise<void>((resolve, reject) => {
      client.once("error", reject);
      client.once("ready", resolve);
      client.connect().catch(reject);
    });
  } catch (cause) {
    client.disconnect();
    const said = cause instanceof Error ? cause.message : String(cause);
    throw new UserError(
      "no_redis",
      `Redis at ${address.shown} cannot be used: ${said}. Start it (redis-server), or correct --redis or POSTTRAIN_REDIS (host, port, user, password, rediss:// for TLS).`,
      { cause },
    );
  }
  wasReady = true;
  // Said by those who wait; it is tried again anyway.
  client.on("error", () => undefined);
  return { client, address };
}
