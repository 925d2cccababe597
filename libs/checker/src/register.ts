/** The sequential models histories are checked against: a register with compare-and-swap. */
import type { Model } from "./linearizability.ts";

export type RegisterInput =
  | { readonly kind: "read" }
  | { readonly kind: "write"; readonly value: string }
  | { readonly kind: "cas"; readonly from: string; readonly to: string }
  | { readonly kind: "delete" };

/** What a client saw. `value` is undefined for an absent key. */
export type RegisterOutput =
  | { readonly kind: "read"; readonly value: string | undefined }
  | { readonly kind: "done" }
  /** A compare-and-swap that found another value, or a delete or swap of an absent key. */
  | { readonly kind: "refused" };

/** A key of the store: absent at first. */
export const registerModel: Model<string | null, RegisterInput, RegisterOutput> = {
  initial: null,
  step(state, input, output) {
    switch (input.kind) {
      case "read":
        if (output === undefined) return state;
        return output.kind === "read" && (output.value ?? null) === state ? state : undefined;
      case "write":
        return input.value;
      case "cas":
        if (output === undefined) return state === input.from ? input.to : state;
        if (output.kind === "done") return state === input.from ? input.to : undefined;
        return state === input.from ? undefined : state;
      case "delete":
        if (output === undefined) return null;
        if (output.kind === "done") return state === null ? undefined : null;
        return state === null ? state : undefined;
    }
  },
  describe: (state) => (state === null ? "-" : `=${state}`),
};
