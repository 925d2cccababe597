/** Events of a path as they come, or from the past on. */
import type { ChangeEvent, WatchEvent } from "@etcd2/client";
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import type { JSX } from "preact";
import { client, reasonOf } from "../state/api.ts";
import { say } from "../state/words.ts";
import { Diff } from "./diff.tsx";
import { Problem } from "./parts.tsx";

/** The newest so many are shown. */
const SHOWN_MAX = 500;

function valueOf(node: ChangeEvent["node"] | undefined): string {
  return node === undefined || node.dir ? "" : node.value;
}

function isRemoval({ action }: ChangeEvent): boolean {
  return action === "delete" || action === "compareAndDelete" || action === "expire";
}

function Event({ event }: { event: WatchEvent }): JSX.Element {
  if (event.type === "cleared") {
    return <div class="event bad">{say("missed", event.missedFrom)}</div>;
  }
  const before = event.prevNode === undefined ? undefined : valueOf(event.prevNode);
  const after = event.node.dir || isRemoval(event) ? undefined : event.node.value;
  return (
    <div class="event">
      <span class="mono">{event.index}</span> <strong>{event.action}</strong>{" "}
      <code>{event.node.key}</code>
      {before !== after && <Diff before={before} after={after} />}
    </div>
  );
}

export function WatchView(): JSX.Element {
  const path = useSignal("/");
  const after = useSignal("");
  const filter = useSignal("");
  const events = useSignal<readonly WatchEvent[]>([]);
  const problem = useSignal("");
  const isRunning = useSignal(false);
  const isPaused = useSignal(false);
  const kept = useRef<WatchEvent[]>([]);
  const stop = useRef<AbortController | undefined>(undefined);
  useEffect(() => () => stop.current?.abort(), []);

  const run = async (): Promise<void> => {
    stop.current?.abort();
    const controller = new AbortController();
    stop.current = controller;
    kept.current = [];
    events.value = [];
    problem.value = "";
    isRunning.value = true;
    try {
      const options = {
        recursive: true,
        signal: controller.signal,
        ...(after.value !== "" && { afterIndex: Number(after.value) }),
        onRetry: () => {
          problem.value = say("retrying");
        },
      };
      for await (const event of client.value.watch(path.value, options)) {
        problem.value = "";
        kept.current = [event, ...kept.current].slice(0, SHOWN_MAX);
        if (!isPaused.value) events.value = kept.current;
      }
    } catch (error) {
      if (!controller.signal.aborted) problem.value = reasonOf(error);
    }
    if (stop.current === controller) isRunning.value = false;
  };
  const shown = events.value.filter(
    (event) =>
      event.type === "cleared" || (event.node.key + valueOf(event.node)).includes(filter.value),
  );
  return (
    <>
      <h1>{say("watch")}</h1>
      <form
        class="row"
        onSubmit={(e) => {
          e.preventDefault();
          void run();
        }}
      >
        <label>
          {say("path")}{" "}
          <input
            value={path.value}
            onInput={(e) => {
              path.value = e.currentTarget.value;
            }}
          />
        </label>
        <label>
          {say("fromIndex")}{" "}
          <input
            inputMode="numeric"
            pattern="[0-9]*"
            size={10}
            value={after.value}
            onInput={(e) => {
              after.value = e.currentTarget.value;
            }}
          />
        </label>
        <button class="main">{say("start")}</button>
        <button type="button" disabled={!isRunning.value} onClick={() => stop.current?.abort()}>
          {say("stop")}
        </button>
        <button
          type="button"
          disabled={!isRunning.value}
          onClick={() => {
            isPaused.value = !isPaused.value;
            events.value = kept.current;
          }}
        >
          {say(isPaused.value ? "resume" : "pause")}
        </button>
        <label>
          {say("filter")}{" "}
          <input
            value={filter.value}
            onInput={(e) => {
              filter.value = e.currentTarget.value;
            }}
          />
        </label>
      </form>
      <Problem text={problem.value} />
      <div role="log" aria-label={say("watch")} class="events">
        {shown.map((event) => (
          <Event
            key={`${event.type}${event.index}${event.type === "change" ? event.node.key : ""}`}
            event={event}
          />
        ))}
      </div>
    </>
  );
}
