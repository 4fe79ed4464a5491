/** The part that lock.ts uses; the package has no types of its own. */
declare module "fs-native-extensions" {
  /** Locks the open file; false when another open file has the lock. Throws the system's error with its code. */
  export function tryLock(descriptor: number): boolean;
}
