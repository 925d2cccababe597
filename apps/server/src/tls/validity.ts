/**
 * Owns the question whether a certificate is valid at a moment, and the words for one that is not.
 * An own certificate out of its time is never a reason not to serve: a member that does not start
 * is a worse outage than clients that refuse it.
 */

/** The time for which a certificate is issued. */
export interface ValidityPeriod {
  readonly notBefore: Date;
  readonly notAfter: Date;
}

export type Validity = "valid" | "expired" | "not yet valid";

export function validityAt({ notBefore, notAfter }: ValidityPeriod, now: Date): Validity {
  if (notAfter < now) return "expired";
  return notBefore > now ? "not yet valid" : "valid";
}

/** What is wrong with the certificate of a file and what to do; undefined while it is valid. */
export function validityProblem(
  path: string,
  period: ValidityPeriod,
  now: Date,
): string | undefined {
  switch (validityAt(period, now)) {
    case "valid":
      return undefined;
    case "expired":
      return `${path} expired at ${period.notAfter.toISOString()}`;
    case "not yet valid":
      return `${path} is not valid before ${period.notBefore.toISOString()}; compare the clocks`;
  }
}
