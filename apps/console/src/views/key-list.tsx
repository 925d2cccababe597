/** The children of a directory: only those in sight are in the page, however many there are. */
import type { KeyNode } from "@etcd2/client";
import { useSignal } from "@preact/signals";
import { useRef } from "preact/hooks";
import type { JSX } from "preact";
import { say } from "../state/words.ts";

const ROW_PX = 30;
/** Rows beyond the edges of what is in sight, so that scrolling meets no gaps. */
const MARGIN_ROWS = 10;

export interface KeyListProps {
  readonly nodes: readonly KeyNode[];
  readonly chosen: string;
  readonly choose: (node: KeyNode) => void;
}

function lastName(key: string): string {
  return key.slice(key.lastIndexOf("/") + 1);
}

export function KeyList({ nodes, chosen, choose }: KeyListProps): JSX.Element {
  const top = useSignal(0);
  const height = useSignal(600);
  const box = useRef<HTMLDivElement>(null);
  const first = Math.max(0, Math.floor(top.value / ROW_PX) - MARGIN_ROWS);
  const end = Math.ceil((top.value + height.value) / ROW_PX) + MARGIN_ROWS;
  const move = (from: number, by: number): void => {
    const at = Math.min(nodes.length - 1, Math.max(0, from + by));
    box.current?.scrollTo({ top: Math.max(0, at * ROW_PX - height.value / 2) });
    requestAnimationFrame(() => {
      box.current?.querySelector<HTMLButtonElement>(`[data-at="${at}"]`)?.focus();
    });
  };
  return (
    <div
      class="list"
      ref={box}
      role="group"
      aria-label={say("children", nodes.length)}
      onScroll={(event) => {
        top.value = event.currentTarget.scrollTop;
        height.value = event.currentTarget.clientHeight;
      }}
    >
      <div style={{ height: `${nodes.length * ROW_PX}px` }} />
      {nodes.slice(first, end).map((node, i) => (
        <button
          key={node.key}
          data-at={first + i}
          style={{ top: `${(first + i) * ROW_PX}px` }}
          aria-current={node.key === chosen ? "true" : undefined}
          onClick={() => {
            choose(node);
          }}
          onKeyDown={(event) => {
            const by = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
            if (by === 0) return;
            event.preventDefault();
            move(first + i, by);
          }}
        >
          {lastName(node.key)}
          {node.dir ? "/" : ""}
        </button>
      ))}
    </div>
  );
}
