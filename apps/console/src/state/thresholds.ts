/** From where on the alerts of deploy/monitoring/alerts.yml fire; a test holds the two together. */

export interface Threshold {
  /** Name of the alert. */
  readonly alert: string;
  /** Seconds. */
  readonly value: number;
}

export const thresholds = {
  sync: { alert: "etcdSlowLogSync", value: 0.5 },
  loop: { alert: "etcdBusyEventLoop", value: 0.5 },
  roundTrip: { alert: "etcdSlowPeer", value: 0.15 },
} as const satisfies Record<string, Threshold>;
