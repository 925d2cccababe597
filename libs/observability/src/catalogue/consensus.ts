/** The families about consensus, under the names of etcd 3.x where it has them. */
import { DISK_BUCKETS } from "./buckets.ts";
import type { MetricSpec } from "./spec.ts";

/** Families about consensus. */
export const CONSENSUS_METRICS = {
  etcd_server_has_leader: {
    type: "gauge",
    help: "1 if this member knows a leader.",
    read: true,
  },
  etcd_server_is_leader: {
    type: "gauge",
    help: "1 if this member is the leader.",
    read: true,
  },
  etcd_server_is_learner: {
    type: "gauge",
    help: "1 if this member is a learner.",
    read: true,
  },
  etcd_server_leader_changes_seen_total: {
    type: "counter",
    help: "Changes of leader seen.",
    read: true,
  },
  etcd_server_proposals_committed_total: {
    type: "gauge",
    help: "Index of the last committed entry.",
    read: true,
  },
  etcd_server_proposals_applied_total: {
    type: "gauge",
    help: "Index of the last applied entry.",
    read: true,
  },
  etcd_server_proposals_pending: {
    type: "gauge",
    help: "Proposals that wait for their outcome.",
    read: true,
  },
  etcd_server_proposals_failed_total: {
    type: "counter",
    help: "Proposals that failed.",
  },
  etcd_server_heartbeat_send_failures_total: {
    type: "counter",
    help: "Heartbeats of this leader that were late.",
  },
  etcd_server_slow_apply_total: {
    type: "counter",
    help: "Slow applications of committed entries.",
  },
  etcd_server_slow_read_indexes_total: {
    type: "counter",
    help: "Linearizable reads whose confirmation was slow.",
  },
  etcd_server_read_indexes_failed_total: {
    type: "counter",
    help: "Linearizable reads that could not be confirmed.",
  },
  etcd_server_learner_promote_successes: {
    type: "counter",
    help: "Learners made voters by this leader.",
  },
  etcd_server_health_success: {
    type: "counter",
    help: "Health checks that succeeded.",
  },
  etcd_server_health_failures: {
    type: "counter",
    help: "Health checks that failed.",
  },
  etcd_server_snapshot_apply_in_progress_total: {
    type: "gauge",
    help: "1 while a snapshot from the leader is taken over.",
  },
  etcd_server_version: {
    type: "gauge",
    help: "1 with the etcd version this server follows.",
    labels: ["server_version"],
    read: true,
  },
  etcd_server_id: {
    type: "gauge",
    help: "1 with the id of this member.",
    labels: ["server_id"],
    read: true,
  },
  etcd_cluster_version: {
    type: "gauge",
    help: "1 with the version of the cluster.",
    labels: ["cluster_version"],
    read: true,
  },
  etcd2_raft_term: {
    type: "gauge",
    help: "Term of this member.",
    read: true,
  },
  etcd2_raft_first_index: {
    type: "gauge",
    help: "First index in the log.",
    read: true,
  },
  etcd2_raft_last_index: {
    type: "gauge",
    help: "Last index in the log.",
    read: true,
  },
  etcd2_raft_messages_refused_total: {
    type: "counter",
    help: "Messages of members dropped because they contradict what this member knows for certain.",
  },
  etcd2_data_diverged: {
    type: "gauge",
    help: "1 when the data of this member contradicts the cluster's: it serves nothing any more.",
  },
  etcd2_state_checks_total: {
    type: "counter",
    labels: ["verdict"],
    help: "Comparisons of this member's state with the others', by verdict.",
  },
  etcd2_states_different: {
    type: "gauge",
    help: "Members that held another state than the majority when the states were compared last.",
  },
  etcd2_proposal_duration_seconds: {
    type: "histogram",
    help: "Seconds from a proposal to its outcome.",
    buckets: DISK_BUCKETS,
  },
} as const satisfies Readonly<Record<string, MetricSpec>>;
