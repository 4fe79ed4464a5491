// Who is asked: a generator, and a critic, a translator, a judge, each behind a server or in a folder of its own, else the generator in its place.
import { createHash } from "node:crypto";
import { UserError, uniform, withoutThinking } from "@posttrain/data";
import { type Model, modelDigest, onnxFileAt } from "@posttrain/model";
import {
  localTeacher,
  type OnnxTeacher,
  openOnnxTeacher,
  openServer,
  type Server,
  type Teacher,
  type TeacherCounters,
  type TeacherRequest,
  textSide,
} from "@posttrain/rollout";
import type { Journal } from "@posttrain/run";
import type { BuildConfig } from "./config.js";
import { drop, keep, type Outcome, unanswered } from "./outcome.js";
import { readPrompts } from "./prompts.js";

export const roleNames = ["generator", "critic", "translator", "judge"] as const;
export type RoleName = (typeof roleNames)[number];

export type Question = QuestionText & {
  /** Which of several replies to the same question. Default: 0. */
  readonly sample?: number;
  /** Default: the command's. */
  readonly temperature?: number;
};

type QuestionText =
  /** `prompt`: its file, without .md. */
  | { readonly prompt: string; readonly values: Readonly<Record<string, string>> }
  /** A conversation that waits for its answer, as it is. */
  | { readonly messages: TeacherRequest["messages"] };

/** Goes into the evidence of a row: who was asked what. Without a prompt: the conversation itself. */
export interface Asked {
  readonly role: RoleName;
  readonly model: string;
  readonly prompt?: string;
  readonly version?: number;
  readonly digest?: string;
  readonly sample: number;
}

export interface Said {
  /** Without thinking. */
  readonly text: string;
  readonly asked: Asked;
}

export interface Roles {
  has(role: RoleName): boolean;
  /** Questions that are worth being asked at once. */
  width(role: RoleName): number;
  /** Kept: one reply. Dropped: `cut_off`, `unended_thinking`. Throws what concerns every request, UserError `no_teacher` where there is nobody to ask. */
  ask(role: RoleName, question: Question): Promise<Outcome<Said>>;
  /** Names and SHA-256s of prompts. */
  readonly prompts: Readonly<Record<string, string>>;
  counters(): Readonly<Record<string, TeacherCounters>>;
}

type Asks = Pick<Teacher, "ask" | "concurrency">;

interface Role {
  readonly teacher: Asks;
  readonly model: string;
}

export interface RolesOptions {
  readonly withModel: <T>(dir: string, body: (model: Model) => Promise<T>) => Promise<T>;
  readonly journal: Journal;
  /** Keeps the servers' replies, unless `reply_cache` does. */
  readonly folder: string;
  readonly onToken?: (() => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What decides a role: its folder, or its server. */
export function choiceOf(config: BuildConfig, role: RoleName) {
  const of = (name: "base_url" | "model" | "model_name_or_path"): string | undefined =>
    config[role === "generator" ? name : (`${role}_${name}` as const)];
  return { dir: of("model_name_or_path"), baseUrl: of("base_url"), model: of("model") };
}

/** SHA-256 of the weights at a path: an ONNX file, a folder with one, or a model folder. */
export const weightsOf = async (path: string): Promise<string> =>
  modelDigest((await onnxFileAt(path)) ?? path);

/** Opens what `body` may ask, for as long as it does. */
export async function withRoles<T>(
  config: BuildConfig,
  options: RolesOptions,
  body: (roles: Roles) => Promise<T>,
): Promise<T> {
  const prompts = await readPrompts(config.prompts);
  const open = new Map<RoleName, Role>();
  const servers = new Map<RoleName, Server>();
  const files: OnnxTeacher[] = [];
  const roles: Roles = {
    has: (role) => open.has(role) || open.has("generator"),
    width: (role) => (open.get(role) ?? open.get("generator"))?.teacher.concurrency ?? 1,
    prompts: Object.fromEntries([...prompts].map(([name, { digest }]) => [name, digest])),
    counters: () => Object.fromEntries([...servers].map(([role, server]) => [role, server.counters()])),
    ask: async (role, { sample = 0, temperature = config.temperature, ...question }) => {
      const name = "prompt" in question ? question.prompt : "conversation";
      const prompt = prompts.get(name);
      if ("prompt" in question && prompt === undefined) throw new Error(`there is no prompt ${name}`);
      const { teacher, model } = open.get(role) ?? open.get("generator") ?? nobody(role);
      const reply = await teacher.ask(
        {
          messages: "prompt" in question ? prompt!.fill(question.values) : question.messages,
          ...{
            temperature,
            max_tokens: config.max_new_tokens,
            seed: seedOf(config.seed, role, name, sample),
          },
        },
        options.signal,
      );
      if (reply.outcome === "failed") return unanswered(reply.reason);
      if (reply.finish === "length") return drop("cut_off", { prompt: name, said: reply.text });
      const text = withoutThinking(reply.text)?.trim();
      if (text === undefined) return drop("unended_thinking", { prompt: name, said: reply.text });
      const from = prompt && { prompt: name, version: prompt.version, digest: prompt.digest };
      return keep({ text, asked: { role, model, ...from, sample } });
    },
  };
  const openRole = async (left: readonly RoleName[]): Promise<T> => {
    const [role, ...rest] = left;
    if (role === undefined) return body(roles);
    const { dir, baseUrl, model } = choiceOf(config, role);
    if (dir !== undefined) {
      const weights = await weightsOf(dir);
      const onnx = await onnxFileAt(dir);
      if (onnx !== undefined) {
        const { journal, onToken } = options;
        const teacher = await openOnnxTeacher(onnx, {
          ...{ weights, journal, onToken, maxTokens: config.max_new_tokens },
        });
        files.push(teacher);
        open.set(role, { teacher, model: `${onnx} (${weights.slice(0, 16)})` });
        return openRole(rest);
      }
      return options.withModel(dir, (loaded) => {
        const { journal, onToken } = options;
        const local = { weights, journal, onToken, maxTokens: config.max_new_tokens };
        open.set(role, {
          teacher: localTeacher(loaded, textSide(dir, loaded.config), local),
          model: `${dir} (${weights.slice(0, 16)})`,
        });
        return openRole(rest);
      });
    }
    if (baseUrl !== undefined) {
      const server = await openServer({
        ...{ ...config, base_url: baseUrl, model, reply_cache: cacheOf(config, options.folder, role) },
      });
      servers.set(role, server);
      open.set(role, { teacher: server, model: model as string });
    }
    return openRole(rest);
  };
  try {
    return await openRole(roleNames);
  } finally {
    for (const teacher of [...servers.values(), ...files]) await teacher.close();
  }
}

/** Of each role a file: replies.jsonl, replies-critic.jsonl. */
function cacheOf({ reply_cache: given }: BuildConfig, folder: string, role: RoleName): string {
  const path = given ?? `${folder}/replies.jsonl`;
  return role === "generator" ? path : path.replace(/(\.\w+)?$/, `-${role}$1`);
}

function nobody(role: RoleName): never {
  const own = role === "generator" ? "" : `${role}_`;
  throw new UserError(
    "no_teacher",
    `A ${role} is asked here, and there is none. Give its server with --${own}base_url and --${own}model, or its folder with --${own}model_name_or_path.`,
  );
}

/** 31 bits: some servers keep it in a signed number of 32. */
function seedOf(seed: number, role: RoleName, prompt: string, sample: number): number {
  const who = createHash("sha256").update(`${role} ${prompt}`).digest();
  return Math.floor(
    uniform(seed, "dataBuilding", [sample, who.readUInt32LE(0), who.readUInt32LE(4), 1]) * 2 ** 31,
  );
}
