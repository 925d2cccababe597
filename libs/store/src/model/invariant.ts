/** Assertions that stay on in production: a broken invariant stops the member. */

/** Something that can never be was found to be. */
class InvariantError extends Error {
  override readonly name = "InvariantError";
}

/** @throws InvariantError when `condition` is false. */
export function invariant(condition: boolean, message: string): asserts condition {
  if (!condition) throw new InvariantError(message);
}
