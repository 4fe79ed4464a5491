// Where a worker finds weights by their digest: a folder that it shares with runs, or a run's server (weights-server.ts), of which it keeps what it has fetched, tensor by tensor.
import { mkdir, open, readdir, rename, rm, stat, utimes } from "node:fs/promises";
import { join } from "node:path";
import { UserError } from "@posttrain/data";
import { fileDigest } from "@posttrain/run";
import { findPublished, type PublishedModel, publishedModel } from "./published-model.js";
import { writeAll } from "./safetensors.js";

export interface WeightsPlace {
  /** For people: the folder or address, without its token. */
  readonly name: string;
  /** Undefined: they are not there, or not yet. UserError where no waiting helps, Error for what may be better next time. */
  find(digest: string, signal?: AbortSignal): Promise<PublishedModel | undefined>;
}

export function weightsInFolder(dir: string): WeightsPlace {
  return { name: dir, find: (digest) => findPublished(dir, digest) };
}

export interface ServedWeights {
  /** Of serveWeights(). */
  readonly url: string;
  readonly token: string | undefined;
  /** Folder that keeps tensors; one worker's alone. */
  readonly cache: string;
  /** The most that is kept there, beside the model at hand. */
  readonly cacheBytes: number;
}

/** Times that a connection which breaks off is taken up again, where it was. */
const TRIES = 5;

/** UserError `bad_option` for what is no address. */
export function weightsAt({ url, token, cache, cacheBytes }: ServedWeights): WeightsPlace {
  const base = URL.canParse(url) ? new URL(url) : undefined;
  if (base === undefined || !/^https?:$/.test(base.protocol) || base.username !== "" || base.password !== "")
    throw new UserError(
      "bad_option",
      "weights_url is no address such as http://10.0.0.5:7070. A token belongs into POSTTRAIN_WEIGHTS_TOKEN, not into the address.",
    );
  const name = base.origin;
  const folder = join(cache, "tensors");

  /** Undefined: it is not there. */
  async function get(path: string, from: number, signal?: AbortSignal): Promise<Response | undefined> {
    const response = await fetch(new URL(path, `${base!.href.replace(/\/$/, "")}/`), {
      headers: {
        ...(token !== undefined && { authorization: `Bearer ${token}` }),
        ...(from > 0 && { range: `bytes=${from}-` }),
      },
      // The token is for nobody else.
      redirect: "error",
      ...(signal && { signal }),
    }).catch((cause: Error & { cause?: Error }) => {
      throw new Error(`${name} cannot be reached (${cause.cause?.message ?? cause.message})`, { cause });
    });
    // Beyond its end: all of it is here.
    if (response.ok || response.status === 416) return response;
    await response.body?.cancel();
    if (response.status === 404) return undefined;
    if (response.status === 401)
      throw new UserError(
        "weights_refused",
        `${name} wants another token: give the worker the POSTTRAIN_WEIGHTS_TOKEN that the run has.`,
      );
    throw new Error(`${name} answered ${response.status} to ${path}`);
  }

  /** Fetches what is missing of a tensor, from where an earlier try has ended. */
  async function fetchTensor(sha256: string, signal: AbortSignal | undefined): Promise<void> {
    const path = join(folder, sha256);
    const partial = `${path}.partial`;
    for (let tries = 1; ; tries++) {
      try {
        const have = await sizeOf(partial);
        const response = await get(`tensors/${sha256}`, have, signal);
        if (response === undefined)
          throw new Error(`${name} no longer has the tensor ${sha256.slice(0, 12)}`);
        if (response.status === 416) break;
        const handle = await open(partial, response.status === 206 ? "a" : "w");
        try {
          for await (const piece of response.body ?? []) await writeAll(handle, piece as Uint8Array);
        } finally {
          await handle.close();
        }
        break;
      } catch (error) {
        if (tries >= TRIES || error instanceof UserError || signal?.aborted) throw error;
      }
    }
    if ((await fileDigest(partial)) !== sha256) {
      await rm(partial);
      throw new Error(`what ${name} sent as the tensor ${sha256.slice(0, 12)} is not what its name says`);
    }
    await rename(partial, path);
  }

  /** Those that were used last stay. */
  async function evict(used: ReadonlySet<string>): Promise<void> {
    const others = await Promise.all(
      (await readdir(folder))
        .filter((file) => !used.has(file))
        .map(async (file) => ({ file, ...(await stat(join(folder, file))) })),
    );
    let kept = 0;
    for (const { file, size } of others.sort((a, b) => b.mtimeMs - a.mtimeMs)) {
      kept += size;
      if (kept > cacheBytes) await rm(join(folder, file), { force: true });
    }
  }

  return {
    name,
    find: async (digest, signal) => {
      const response = await get(`models/${digest}.json`, 0, signal);
      if (response === undefined) return undefined;
      const text = await response.text();
      await mkdir(folder, { recursive: true });
      const manifest = publishedModel(text, digest, `${name}/models/${digest}.json`);
      const now = new Date();
      for (const sha256 of manifest.digests) {
        const path = join(folder, sha256);
        if ((await sizeOf(path)) === 0) await fetchTensor(sha256, signal);
        else await utimes(path, now, now);
      }
      await evict(manifest.digests);
      return manifest.in(folder);
    },
  };
}

const sizeOf = (path: string): Promise<number> =>
  stat(path).then(
    ({ size }) => size,
    () => 0,
  );
