/** Time limits and aborts as one signal, which leaves nothing behind when it is released. */

export interface DeadlineSignal {
  readonly signal: AbortSignal;
  /** The time limit holds no longer; the caller's signal does. */
  lift(): void;
  /** Leaves nothing behind: call it when the work is over. */
  release(): void;
}

/** The longest a timer can be set for. */
const TIMER_MS_MAX = 2 ** 31 - 1;

/** A signal that follows `parent` and is aborted after the time, if that is not 0. */
export function deadlineSignal(
  parent: AbortSignal | undefined,
  timeoutMs: number,
  makeReason: () => Error,
): DeadlineSignal {
  const controller = new AbortController();
  const follow = (): void => {
    controller.abort(parent?.reason);
  };
  if (parent?.aborted === true) follow();
  else parent?.addEventListener("abort", follow, { once: true });
  const expire = (): void => {
    controller.abort(makeReason());
  };
  const timer = timeoutMs > 0 ? setTimeout(expire, Math.min(timeoutMs, TIMER_MS_MAX)) : undefined;
  return {
    signal: controller.signal,
    lift: () => {
      clearTimeout(timer);
    },
    release: () => {
      clearTimeout(timer);
      parent?.removeEventListener("abort", follow);
    },
  };
}

/** Resolves after a while. @throws the reason of the signal. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = (): void => {
      clearTimeout(timer);
      reject(reasonOf(signal));
    };
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", stop);
      resolve();
    }, ms);
    if (signal.aborted) stop();
    else signal.addEventListener("abort", stop, { once: true });
  });
}

/** The reason of an aborted signal, as an error. */
function reasonOf({ reason }: AbortSignal): Error {
  return reason instanceof Error ? reason : new Error("aborted", { cause: reason });
}
