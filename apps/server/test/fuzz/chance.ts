/** Seeded chance: everything a fuzzing run does follows from one number. */
import { SeededRandom } from "@etcd2/test-support";

export class Chance extends SeededRandom {
  /** Up to `max` random bytes. */
  bytes(max: number): Buffer {
    const bytes = Buffer.alloc(this.below(max + 1));
    for (let at = 0; at < bytes.length; at++) bytes[at] = this.below(256);
    return bytes;
  }

  /** Flips, inserts, removes, repeats or cuts a few bytes. */
  mutate(given: Buffer): Buffer {
    let bytes = Buffer.from(given);
    for (let count = 1 + this.below(4); count > 0; count--) {
      const at = this.below(bytes.length + 1);
      const end = Math.min(bytes.length, at + 1 + this.below(8));
      const before = bytes.subarray(0, at);
      switch (this.below(5)) {
        case 0:
          bytes = Buffer.concat([before, this.bytes(4), bytes.subarray(end)]);
          break;
        case 1:
          bytes = Buffer.concat([before, this.bytes(8), bytes.subarray(at)]);
          break;
        case 2:
          bytes = Buffer.concat([before, bytes.subarray(end)]);
          break;
        case 3:
          bytes = Buffer.concat([before, bytes.subarray(at, end), bytes.subarray(at)]);
          break;
        default:
          bytes = Buffer.from(before);
      }
    }
    return bytes;
  }
}
