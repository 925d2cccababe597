/** How an event is printed in the formats of `--output`. Text in, text out. */
import { escapeJson } from "@etcd2/net-url";
import type { KeysResponse, StoreNode } from "../api/wire.ts";

/** What goes to which stream. */
export interface Printed {
  readonly out: string;
  readonly err: string;
}

/** etcdctl 2.3.8 reads the time and writes it again, which drops zeros at the end of a fraction. */
function normalTime(time: string): string {
  return time.replace(/\.(\d*?)0*(?=Z|[+-]\d\d:\d\d$)/, (_all, digits: string) => {
    return digits === "" ? "" : `.${digits}`;
  });
}

/** Members in the order of etcdctl 2.3.8; undefined ones are left out by the JSON writer. */
function jsonNode(node: StoreNode): Record<string, unknown> {
  return {
    key: node.key,
    dir: node.isDir ? true : undefined,
    value: node.value,
    nodes: node.nodes?.map(jsonNode) ?? null,
    createdIndex: node.createdIndex,
    modifiedIndex: node.modifiedIndex,
    expiration: node.expiration === undefined ? undefined : normalTime(node.expiration),
    ttl: node.ttl === 0 ? undefined : node.ttl,
  };
}

function simple({ action, node, prevNode }: KeysResponse): string {
  if (action === "delete") return `PrevNode.Value: ${prevNode?.value ?? ""}\n`;
  return `${node.value}\n`;
}

function extended({ action, node, prevNode, index }: KeysResponse): string {
  const lines = [
    `Key: ${node.key}`,
    `Created-Index: ${node.createdIndex}`,
    `Modified-Index: ${node.modifiedIndex}`,
    ...(prevNode === undefined ? [] : [`PrevNode.Value: ${prevNode.value}`]),
    `TTL: ${node.ttl}`,
    `Index: ${index}`,
    ...(action === "delete" ? [] : ["", node.value]),
  ];
  return `${lines.join("\n")}\n`;
}

function json({ action, node, prevNode }: KeysResponse): string {
  const event = {
    action,
    node: jsonNode(node),
    prevNode: prevNode === undefined ? null : jsonNode(prevNode),
  };
  return `${escapeJson(JSON.stringify(event))}\n`;
}

/** One event in the named format; an unknown name is a complaint, not a failure. */
export function formatEvent(response: KeysResponse, format: string): Printed {
  switch (format) {
    case "simple":
      return { out: simple(response), err: "" };
    case "extended":
      return { out: extended(response), err: "" };
    case "json":
      return { out: json(response), err: "" };
    default:
      return { out: "", err: `Unsupported output format: ${format}\n` };
  }
}
