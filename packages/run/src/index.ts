export {
  type Checkpoint,
  type Damage,
  type Manifest,
  newestCheckpoint,
  type Parent,
  pruneCheckpoints,
  verifyCheckpoint,
  writeCheckpoint,
} from "./checkpoint.js";
export {
  asCannotWrite,
  fileDigest,
  renameDurably,
  replaceDurably,
  syncPath,
  writeDurably,
  writeSynced,
} from "./durable.js";
export { acceptDifferences, type Difference, differences, type Identity } from "./identity.js";
export { type Journal, openJournal } from "./journal.js";
export { type FileLock, lockFile, lockRun, type RunLock } from "./lock.js";
export { type Metrics, type MetricsLine, openMetrics } from "./metrics.js";
export { openRun, type Resume, type Run } from "./run-folder.js";
export { openStepLog, type StepLog } from "./step-log.js";
