/** An operator's mistake or a fault met before serving: one line on stderr and status 1. */
export class StartError extends Error {
  override readonly name = "StartError";
}
