export {
  type Checkpoint,
  checkpointSteps,
  type Damage,
  type Manifest,
  newestCheckpoint,
  type Parent,
  pruneCheckpoints,
  sweepLeftovers,
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
export { readFinished, writeFinished } from "./finished-result.js";
export { acceptDifferences, type Difference, differences, type Identity } from "./identity.js";
export { inOrder } from "./in-order.js";
export { type Journal, journalKey, openJournal } from "./journal.js";
export { type FileLock, lockFile, type RunLock } from "./lock.js";
export { type Metrics, type MetricsLine, openMetrics } from "./metrics.js";
export { type Fate, type Greeting, openProcessPool, type ProcessPool } from "./process-pool.js";
export { lockProgressFolder } from "./progress-folder.js";
export { openRowFile, type RowFile } from "./row-file.js";
export { openRun, type Resume, type Run } from "./run-folder.js";
export { openStepLog, type StepLog } from "./step-log.js";
