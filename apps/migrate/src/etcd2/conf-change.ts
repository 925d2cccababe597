/** Membership changes in a 2.x or 3.x log, decoded. */
import { FormatError } from "../io/format-error.ts";
import { JsonObject } from "../io/json-object.ts";
import { ProtoReader } from "../io/proto-reader.ts";

export type ConfChangeKind = "add" | "remove" | "update" | "addLearner";

export interface ConfChange2 {
  readonly kind: ConfChangeKind;
  /** 16 hexadecimal digits. */
  readonly memberId: string;
  /** Empty for removals. */
  readonly peerUrls: readonly string[];
  /** What the configuration that founded the cluster calls it; empty for members added later. */
  readonly name: string;
  /** 3.4: an "add" that makes a learner a voter. */
  readonly isPromotion: boolean;
  readonly isLearner: boolean;
}

const KINDS: readonly ConfChangeKind[] = ["add", "remove", "update", "addLearner"];

/** @throws FormatError when it cannot be read. */
export function decodeConfChange(data: Buffer): ConfChange2 {
  let type = 0;
  let memberId = "0".repeat(16);
  let context: Buffer | undefined;
  const reader = new ProtoReader(data);
  while (reader.next()) {
    if (reader.field === 2) type = reader.number();
    else if (reader.field === 3) memberId = reader.id();
    else if (reader.field === 4) context = reader.bytes();
    else reader.skip();
  }
  const kind = KINDS[type];
  if (kind === undefined) throw new FormatError(`unknown membership change ${type}`);
  if (context === undefined || context.length === 0) {
    return { kind, memberId, peerUrls: [], name: "", isPromotion: false, isLearner: false };
  }
  const json = JsonObject.parse(context.toString("utf8"));
  return {
    kind,
    memberId,
    peerUrls: json.texts("peerURLs"),
    name: json.text("name"),
    isPromotion: json.boolean("isPromote"),
    isLearner: json.boolean("isLearner") || kind === "addLearner",
  };
}
