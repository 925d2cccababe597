/**
 * One key: its value, its facts, and every change of it, each under the condition that it is still
 * as it was shown. What was changed in between is shown beside what was meant.
 */
import { errorCodes, type FileNode, isEtcdError } from "@etcd2/client";
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import type { JSX } from "preact";
import { client, reasonOf } from "../state/api.ts";
import { say } from "../state/words.ts";
import { Copy, Problem, quoted } from "./parts.tsx";

export interface KeyDetailProps {
  readonly node: FileNode;
  /** The key was changed, is gone, or has run out. */
  readonly changed: () => void;
}

/** Seconds left of the time that the server gave with its answer. */
function useCountdown(node: FileNode, ended: () => void): number | undefined {
  const left = useSignal(node.ttl);
  useEffect(() => {
    left.value = node.ttl;
    const { ttl } = node;
    if (ttl === undefined) return undefined;
    const start = performance.now();
    const timer = setInterval(() => {
      left.value = Math.max(0, Math.ceil(ttl - (performance.now() - start) / 1000));
      if (performance.now() - start > (ttl + 1) * 1000) {
        clearInterval(timer);
        ended();
      }
    }, 250);
    return () => {
      clearInterval(timer);
    };
  }, [node]);
  return left.value;
}

interface ConflictProps {
  readonly theirs: FileNode;
  readonly mine: string;
  readonly overwrite: () => void;
  readonly keep: () => void;
}

function Conflict({ theirs, mine, overwrite, keep }: ConflictProps): JSX.Element {
  return (
    <div class="notice" role="alert">
      <strong>{say("conflict")}</strong>
      <p>{say("theirs")}</p>
      <pre class="old">{theirs.value}</pre>
      <p>{say("mine")}</p>
      <pre class="new">{mine}</pre>
      <button onClick={overwrite}>{say("overwrite")}</button>{" "}
      <button onClick={keep}>{say("keepTheirs")}</button>
    </div>
  );
}

function Facts({ node, left }: { node: FileNode; left: number | undefined }): JSX.Element {
  const size = new TextEncoder().encode(node.value).length;
  return (
    <dl>
      <dt>{say("size")}</dt>
      <dd>
        {size} {say("bytes")}
      </dd>
      <dt>{say("created")}</dt>
      <dd>{node.createdIndex}</dd>
      <dt>{say("modified")}</dt>
      <dd>{node.modifiedIndex}</dd>
      <dt>{say("ttl")}</dt>
      <dd id="ttl">{left === undefined ? say("none") : `${left} s`}</dd>
    </dl>
  );
}

function Copies({ node }: { node: FileNode }): JSX.Element {
  const url = `${location.origin}/v2/keys${encodeURI(node.key)}`;
  return (
    <>
      <Copy what="curl" text={`curl ${quoted(url)}`} />
      <Copy what="etcdctl" text={`etcdctl get ${quoted(node.key)}`} />
    </>
  );
}

export function KeyDetail({ node, changed }: KeyDetailProps): JSX.Element {
  const draft = useSignal<string | undefined>(undefined);
  const theirs = useSignal<FileNode | undefined>(undefined);
  const problem = useSignal("");
  const isFormatted = useSignal(false);
  const left = useCountdown(node, changed);
  const { keys } = client.value;
  useEffect(() => {
    draft.value = undefined;
    theirs.value = undefined;
    problem.value = "";
    isFormatted.value = false;
  }, [node.key]);

  const attempt = async (change: () => Promise<unknown>): Promise<void> => {
    problem.value = "";
    try {
      await change();
      draft.value = undefined;
      theirs.value = undefined;
      changed();
    } catch (error) {
      if (isEtcdError(error, errorCodes.compareFailed)) {
        const now = await keys.find(node.key, { quorum: true });
        if (now?.node.dir === false) theirs.value = now.node;
        else problem.value = say("gone");
      } else problem.value = reasonOf(error);
    }
  };
  const save = (index: number): void => {
    // What had an end keeps it.
    const ttl = left === undefined ? {} : { ttl: left };
    const value = draft.value ?? "";
    void attempt(() => keys.compareAndSwap(node.key, value, { prevIndex: index }, ttl));
  };
  const format = (): string => {
    try {
      return JSON.stringify(JSON.parse(node.value), undefined, 2);
    } catch {
      return say("notJson");
    }
  };
  const isEditing = draft.value !== undefined;
  return (
    <section aria-label={node.key}>
      <h2 class="mono">{node.key}</h2>
      <Problem text={problem.value} />
      {theirs.value !== undefined && (
        <Conflict
          theirs={theirs.value}
          mine={draft.value ?? ""}
          overwrite={() => {
            save(theirs.value?.modifiedIndex ?? 0);
          }}
          keep={() => {
            draft.value = undefined;
            theirs.value = undefined;
            changed();
          }}
        />
      )}
      {isEditing ? (
        <form
          onSubmit={(event) => {
            event.preventDefault();
            save(node.modifiedIndex);
          }}
        >
          <textarea
            aria-label={say("value")}
            value={draft.value}
            onInput={(event) => {
              draft.value = event.currentTarget.value;
            }}
          />
          <div class="row">
            <button class="main">{say("save")}</button>
            <button type="button" onClick={() => (draft.value = undefined)}>
              {say("cancel")}
            </button>
          </div>
        </form>
      ) : (
        <>
          <pre id="value" tabIndex={0} aria-label={say("value")} role="group">
            {isFormatted.value ? format() : node.value}
          </pre>
          <div class="row">
            <button id="edit" onClick={() => (draft.value = node.value)}>
              {say("edit")}
            </button>
            <button onClick={() => (isFormatted.value = !isFormatted.value)}>
              {say("format")}
            </button>
            <button
              onClick={() => {
                const seconds = prompt(say("refreshTtl"), "60") ?? "";
                if (!/^\d+$/.test(seconds)) return;
                const condition = { prevIndex: node.modifiedIndex };
                void attempt(() => keys.refresh(node.key, Number(seconds), condition));
              }}
            >
              {say("refreshTtl")}
            </button>
            <button
              class="bad"
              onClick={() => {
                const condition = { prevIndex: node.modifiedIndex };
                void attempt(() => keys.compareAndDelete(node.key, condition));
              }}
            >
              {say("delete")}
            </button>
            <Copies node={node} />
          </div>
        </>
      )}
      <Facts node={node} left={left} />
    </section>
  );
}
