// Training by several processes that mpirun started. Open MPI tells each its place in the environment, so that a command knows it before it
// opens anything: rank 0 talks, the others are silent but for what goes wrong.
import { UserError } from "@posttrain/data";

/** A whole number of the environment. */
export function numberOf(name: string, otherwise: number): number {
  const text = process.env[name] ?? "";
  return /^\d+$/.test(text) ? Number(text) : otherwise;
}

/** Of this process, and how many there are: 0 of 1 without mpirun. */
export const rank = numberOf("OMPI_COMM_WORLD_RANK", 0);
export const ranks = numberOf("OMPI_COMM_WORLD_SIZE", 1);

/** UserError `one_rank` where a command that does not share its work was started several times by mpirun. */
export function refuseRanks(command: string, shares: boolean): void {
  if (ranks === 1 || shares) return;
  throw new UserError(
    "one_rank",
    `mpirun started posttrain ${command} on ${ranks} ranks, which would do the same ${ranks} times. Only training is shared: start ${command} without mpirun.`,
  );
}
