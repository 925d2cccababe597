/** A request that cannot be served just now for lack of room, and could be a little later. */

/** Answered with 503; the message is for the client. */
export class BusyError extends Error {
  override readonly name = "BusyError";
}

/** Whether a failure means that something is busy; parts above have errors of their own with this code. */
export function isBusy(error: unknown): error is Error {
  return (
    error instanceof BusyError ||
    (error instanceof Error && (error as { code?: unknown }).code === "busy")
  );
}
