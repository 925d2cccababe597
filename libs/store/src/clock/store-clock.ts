/** The port of the two clocks that a state machine goes by. */

/** The two clocks of a member, in milliseconds. */
export interface StoreClock {
  /** Unix time; may jump. */
  wallMs(): number;
  /** Never goes backwards; deadlines are on it and are stored, so it must survive restarts. */
  steadyMs(): number;
}
