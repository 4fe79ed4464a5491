export { openJobsHere } from "./in-process.js";
export type { Batch, Jobs, Outcome } from "./jobs.js";
export {
  defineHandler,
  defineKind,
  GivenBack,
  type Handler,
  type Job,
  type JobContext,
  type JobProgress,
  type Kind,
} from "./kind.js";
export { type JobState, type JobsAdmin, type JobView, openJobsAdmin } from "./redis/admin.js";
export { openRedisJobs } from "./redis/redis-jobs.js";
export { type JobsWorker, openWorker, type WorkerEvent, type WorkerOptions } from "./redis/worker.js";
