// Weights in a folder that several machines see, named by what they are: OWNER/tensors/<SHA-256> holds a tensor's bytes, OWNER/models/<SHA-256>.json says which
// tensors a model is made of. A model's name is the SHA-256 of that file, so who has the name has the weights, or an error. An owner (a run) has a part of the folder of its own
// and nobody else writes there.
import { createHash } from "node:crypto";
import { mkdir, open, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { canonicalJson } from "@posttrain/data";
import type { Device } from "@posttrain/kernels";
import { asCannotWrite, fileDigest } from "@posttrain/run";
import { z } from "zod";
import { parseModelConfig, parseWith, type Qwen2Config, toJson } from "./config.js";
import { readWeights } from "./load-model.js";
import { type ComputeDtype, emptyModel, type Model, setParameter } from "./model.js";
import type { ModelFolder, StoredTensor } from "./model-folder.js";
import { refuseTooLarge } from "./model-size.js";
import { writeAll } from "./safetensors.js";

const digestText = z.string().regex(/^[0-9a-f]{64}$/);
const schema = z.strictObject({
  schema: z.literal("published-model@1"),
  config: z.record(z.string(), z.unknown()),
  tensors: z.record(
    z.string(),
    z.strictObject({
      dtype: z.enum(["F32", "BF16", "F16"]),
      shape: z.array(z.int().nonnegative()),
      sha256: digestText,
    }),
  ),
});
type Manifest = z.output<typeof schema>;

/** Elements, and bytes of files, that are held at a time. */
const PIECE = 1 << 20;

/** What is published: a model as its forward pass reads it, or a folder as it lies on disk. */
export interface WeightsSource {
  readonly config: Qwen2Config;
  readonly tensors: readonly {
    readonly name: string;
    readonly dtype: StoredTensor["dtype"];
    readonly shape: readonly number[];
    /** May be asked for twice. A piece is valid until the next. */
    pieces(): AsyncIterable<Uint8Array>;
  }[];
}

export function weightsOfModel(model: Model): WeightsSource {
  const dtype = model.dtype === "bf16" ? "BF16" : "F32";
  return {
    config: model.config,
    tensors: [...model.parameters].map(([name, tensor]) => ({
      ...{ name, dtype, shape: tensor.shape },
      pieces: () => tensor.pieces(PIECE),
    })),
  };
}

export function weightsOfFolder({ config, tensors }: Pick<ModelFolder, "config" | "tensors">): WeightsSource {
  return {
    config,
    tensors: [...tensors].map(([name, stored]) => ({
      ...{ name, dtype: stored.dtype, shape: stored.shape },
      pieces: () => piecesOf(stored),
    })),
  };
}

async function* piecesOf({ file, begin, end }: StoredTensor): AsyncGenerator<Uint8Array> {
  const handle = await open(file);
  const piece = new Uint8Array(PIECE);
  try {
    for (let at = begin; at < end; ) {
      const { bytesRead } = await handle.read(piece, 0, Math.min(piece.length, end - at), at);
      if (bytesRead === 0) throw new Error(`${file} became shorter while it was read`);
      at += bytesRead;
      yield piece.subarray(0, bytesRead);
    }
  } finally {
    await handle.close();
  }
}

export interface Publisher {
  /**
   * Writes what is not there yet; resolves to the model's digest. What was published for `use` before, and nothing else needs, is removed. UserError `cannot_write`.
   */
  publish(source: WeightsSource, use: string): Promise<string>;
  /** Removes all that it has published. */
  close(): Promise<void>;
}

/** `owner`: whose part of the folder `dir` it is, such as a hash of the run's path; what an earlier process of the same owner has left there is removed before the first model is published. */
export function openPublisher(dir: string, owner: string): Publisher {
  const own = join(dir, owner);
  const tensorFile = (sha256: string): string => join(own, "tensors", sha256);
  const modelFile = (digest: string): string => join(own, "models", `${digest}.json`);
  const published = new Map<string, { readonly digest: string; readonly tensors: ReadonlySet<string> }>();
  let ready: Promise<void> | undefined;

  async function prepare(): Promise<void> {
    await rm(own, { recursive: true, force: true });
    for (const name of ["tensors", "models"])
      await mkdir(join(own, name), { recursive: true }).catch((cause) => {
        throw asCannotWrite(own, cause);
      });
  }

  async function removeUnused(): Promise<void> {
    const models = new Set([...published.values()].map(({ digest }) => `${digest}.json`));
    const tensors = new Set([...published.values()].flatMap((one) => [...one.tensors]));
    for (const name of await readdir(join(own, "models")))
      if (!models.has(name)) await rm(join(own, "models", name), { force: true });
    for (const name of await readdir(join(own, "tensors")))
      if (!tensors.has(name)) await rm(join(own, "tensors", name), { force: true });
  }

  return {
    publish: async (source, use) => {
      ready ??= prepare();
      await ready;
      const tensors: [string, Manifest["tensors"][string]][] = [];
      for (const { name, dtype, shape, pieces } of source.tensors) {
        const sha256 = await digestOf(pieces());
        tensors.push([name, { dtype, shape: [...shape], sha256 }]);
        const path = tensorFile(sha256);
        if (!(await isThere(path))) await write(path, pieces());
      }
      const text = canonicalJson({
        schema: "published-model@1",
        config: JSON.parse(toJson(source.config)) as unknown,
        tensors: Object.fromEntries(tensors),
      });
      const digest = createHash("sha256").update(text).digest("hex");
      await write(modelFile(digest), [Buffer.from(text)]);
      published.set(use, { digest, tensors: new Set(tensors.map(([, { sha256 }]) => sha256)) });
      await removeUnused();
      return digest;
    },
    close: async () => {
      if (ready !== undefined) await rm(own, { recursive: true, force: true });
    },
  };
}

async function digestOf(pieces: AsyncIterable<Uint8Array>): Promise<string> {
  const hash = createHash("sha256");
  for await (const piece of pieces) hash.update(piece);
  return hash.digest("hex");
}

const isThere = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );

/** Whole or not at all for who reads beside. Not synced: nobody reads after a power cut what an earlier process has published. */
async function write(path: string, pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<void> {
  const partial = `${path}.partial`;
  try {
    const handle = await open(partial, "w");
    try {
      for await (const piece of pieces) await writeAll(handle, piece);
    } finally {
      await handle.close();
    }
    await rename(partial, path);
  } catch (cause) {
    await rm(partial, { force: true }).catch(() => undefined); // the first error is the one to tell
    throw asCannotWrite(path, cause);
  }
}

/** A model of such a folder: its config, and where its tensors lie. */
export interface PublishedModel {
  readonly config: Qwen2Config;
  readonly tensors: ReadonlyMap<string, StoredTensor & { readonly sha256: string }>;
}

/** Undefined: no owner in `dir` has published it, or not yet. Throws Error where its file is not what its name says. */
export async function findPublished(dir: string, digest: string): Promise<PublishedModel | undefined> {
  digestText.parse(digest);
  for (const owner of await readdir(dir).catch(() => [])) {
    const file = join(dir, owner, "models", `${digest}.json`);
    const text = await readFile(file, "utf8").catch(() => undefined);
    if (text !== undefined) return publishedModel(text, digest, file).in(join(dir, owner, "tensors"));
  }
  return undefined;
}

/** What the file of a model says: the digests of its tensors, and the model once they all lie in `folder`. Throws Error where it is not what its name says. */
export function publishedModel(
  text: string,
  digest: string,
  file: string,
): { readonly digests: ReadonlySet<string>; in(folder: string): Promise<PublishedModel> } {
  if (createHash("sha256").update(text).digest("hex") !== digest)
    throw new Error(`${file} is not what its name says: it is damaged, or somebody has changed it`);
  const manifest = parseWith(schema, JSON.parse(text), file, "bad_weights");
  const config = parseModelConfig(manifest.config, file);
  const stored = Object.entries(manifest.tensors);
  return {
    digests: new Set(stored.map(([, { sha256 }]) => sha256)),
    in: async (folder) => {
      const tensors = stored.map(async ([name, { dtype, shape, sha256 }]) => {
        const path = join(folder, sha256);
        const { size } = await stat(path);
        return [name, { file: path, dtype, shape, begin: 0, end: size, sha256 }] as const;
      });
      return { config, tensors: new Map(await Promise.all(tensors)) };
    },
  };
}

/** The model that was loaded last, and what it was made of: the next one of its shape is read as far as it differs. */
export interface HeldModel {
  readonly model: Model;
  readonly config: string;
  readonly sha256: ReadonlyMap<string, string>;
}

/**
 * Every tensor that is read is held against its digest. `held` is used up: its memory is the new one's, or is given back. UserError for a model that has no place here, Error for weights that
 * are not what their names say.
 */
export async function loadPublished(
  device: Device,
  place: string,
  { config, tensors }: PublishedModel,
  dtype: ComputeDtype,
  held?: HeldModel,
): Promise<HeldModel> {
  const text = toJson(config);
  const isAlike = held?.config === text && held.model.dtype === dtype;
  if (!isAlike) held?.model.scope.end();
  refuseTooLarge(place, config, dtype, device.memoryLimit);
  const model = isAlike ? held.model : emptyModel(device, config, { dtype });
  try {
    const changed = new Map(
      [...tensors].filter(([name, { sha256 }]) => !isAlike || held.sha256.get(name) !== sha256),
    );
    for (const name of model.parameters.keys())
      if (!tensors.has(name)) throw new Error(`the model that was published lacks ${name}`);
    for (const { file, sha256 } of changed.values()) {
      if ((await fileDigest(file)) !== sha256)
        throw new Error(`${file} is not what its name says: it is damaged, or somebody has changed it`);
    }
    await readWeights(
      device,
      { tensors: changed },
      (name) => model.parameters.has(name),
      (name, values) => setParameter(model, name, values),
    );
  } catch (error) {
    model.scope.end();
    throw error;
  }
  return { model, config: text, sha256: new Map([...tensors].map(([name, { sha256 }]) => [name, sha256])) };
}
