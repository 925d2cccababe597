/**
 * The exit statuses of etcdctl, and the one error that carries one. Scripts depend on the numbers;
 * nothing here knows which command ends with which.
 */

export const exitCodes = {
  success: 0,
  /** Argument checks, administration commands, failures before the first request. */
  badArguments: 1,
  /** Endpoint discovery reached nothing. */
  badConnection: 2,
  /** Any other failure of a key command or of discovery. */
  serverError: 4,
  /** No member is healthy. */
  clusterNotHealthy: 5,
} as const;

/** Ends the program with a status, after writing `text` to standard error as it stands. */
export class Failure extends Error {
  override readonly name = "Failure";
  readonly exitCode: number;
  readonly text: string;
  constructor(exitCode: number, text: string, options?: ErrorOptions) {
    super(text.trimEnd(), options);
    this.exitCode = exitCode;
    this.text = text;
  }
}
