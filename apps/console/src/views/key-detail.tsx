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
import { ask } from "./dialog.tsx";
import { Diff } from "./diff.tsx";
import { Copy, Problem, quoted } from "./parts.tsx";
import { type ValueFacts, ValueView } from "./value-view.tsx";

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
      <p>
        − {say("theirs")}, + {say("mine")}
      </p>
      <Diff before={theirs.value} after={mine} />
      <button onClick={overwrite}>{say("overwrite")}</button>{" "}
      <button onClick={keep}>{say("keepTheirs")}</button>
    </div>
  );
}

interface FactsProps {
  readonly node: FileNode;
  readonly left: number | undefined;
  readonly bytes: number | undefined;
}

function Facts({ node, left, bytes }: FactsProps): JSX.Element {
  return (
    <dl>
      <dt>{say("size")}</dt>
      <dd>
        {bytes ?? "…"} {say("bytes")}
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
  const facts = useSignal<ValueFacts>({ bytes: undefined, isBinary: false });
  const left = useCountdown(node, changed);
  const { keys } = client.value;
  useEffect(() => {
    draft.value = undefined;
    theirs.value = undefined;
    problem.value = "";
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
          <ValueView path={node.key} value={node.value} found={(known) => (facts.value = known)} />
          <div class="row">
            <button
              id="edit"
              disabled={facts.value.isBinary}
              onClick={() => (draft.value = node.value)}
            >
              {say("edit")}
            </button>
            <button
              onClick={() =>
                void ask({ title: say("refreshTtl"), action: say("save"), initial: "60" }).then(
                  (seconds = "") => {
                    if (!/^\d{1,9}$/.test(seconds)) return;
                    const condition = { prevIndex: node.modifiedIndex };
                    void attempt(() => keys.refresh(node.key, Number(seconds), condition));
                  },
                )
              }
            >
              {say("refreshTtl")}
            </button>
            <button
              class="bad"
              onClick={() =>
                void ask({
                  title: say("confirmDelete", node.key),
                  action: say("delete"),
                  isDangerous: true,
                }).then((answer) => {
                  if (answer === undefined) return;
                  const condition = { prevIndex: node.modifiedIndex };
                  void attempt(() => keys.compareAndDelete(node.key, condition));
                })
              }
            >
              {say("delete")}
            </button>
            <Copies node={node} />
          </div>
        </>
      )}
      <Facts node={node} left={left} bytes={facts.value.bytes} />
    </section>
  );
}
