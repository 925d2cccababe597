/** SIGINT as the end of a command that has no other: status 0. */
import { exitCodes } from "./exit-codes.ts";

/** From now on SIGINT ends the process well. Output is written synchronously, so none is lost. */
export function endOnInterrupt(): void {
  process.on("SIGINT", () => {
    process.exit(exitCodes.success);
  });
}
