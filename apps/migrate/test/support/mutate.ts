/** Damage as disks, crashes and copies bring it about, and worse. */
import type { SeededRandom } from "@etcd2/test-support";

export interface Mutation {
  readonly bytes: Buffer;
  readonly what: string;
}

/** Damages a file's content in one of several ways. */
export function mutate(original: Buffer, random: SeededRandom): Mutation {
  const size = original.length;
  const at = size === 0 ? 0 : random.below(size);
  const length = 1 + random.below(random.pick([4, 64, 600]));
  const end = Math.min(size, at + length);
  switch (
    random.pick(["flip", "flip", "flip", "cut", "zero", "remove", "insert", "repeat", "tail"])
  ) {
    case "flip": {
      const bytes = Buffer.from(original);
      if (size > 0) bytes[at] = (bytes[at] ?? 0) ^ (1 + random.below(255));
      return { bytes, what: `byte ${at} flipped` };
    }
    case "cut":
      return { bytes: original.subarray(0, at), what: `cut to ${at} bytes` };
    case "zero": {
      const bytes = Buffer.from(original);
      bytes.fill(0, at, end);
      return { bytes, what: `${at} to ${end} zeroed` };
    }
    case "remove":
      return {
        bytes: Buffer.concat([original.subarray(0, at), original.subarray(end)]),
        what: `${at} to ${end} removed`,
      };
    case "insert": {
      const noise = Buffer.from(Array.from({ length }, () => random.below(256)));
      return {
        bytes: Buffer.concat([original.subarray(0, at), noise, original.subarray(at)]),
        what: `${length} bytes inserted at ${at}`,
      };
    }
    case "repeat":
      return {
        bytes: Buffer.concat([original.subarray(0, end), original.subarray(at)]),
        what: `${at} to ${end} repeated`,
      };
    default:
      return {
        bytes: Buffer.concat([original, Buffer.alloc(length, random.pick([0, 0, 255]))]),
        what: `${length} bytes added at the end`,
      };
  }
}
