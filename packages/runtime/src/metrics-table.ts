// The metrics and their labels. The names are API: dashboards and alerts use them. Labels have few values by construction.

export interface Metric {
  readonly kind: "counter" | "gauge" | "histogram";
  readonly help: string;
  readonly labels: readonly string[];
  /** Upper bounds in seconds. */
  readonly buckets?: readonly number[];
}

const FAST = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5] as const;

export const METRICS = {
  outcry_intents_total: { kind: "counter", labels: ["status"], help: "Intents by how their POST or their life ended." },
  outcry_fanout_duration_seconds: {
    kind: "histogram",
    labels: [],
    buckets: FAST,
    help: "From taking a recorded intent to its last publish.",
  },
  outcry_deliveries_total: { kind: "counter", labels: ["outcome"], help: "Deliveries by final state." },
  outcry_delivery_attempts_total: {
    kind: "counter",
    labels: ["reason"],
    help: "Publishes to nodes: first, retry, replay, catchup.",
  },
  outcry_acks_total: {
    kind: "counter",
    labels: ["status"],
    help: "Acks of nodes by status, or by the code of their refusal.",
  },
  outcry_quotes_total: {
    kind: "counter",
    labels: ["result"],
    help: "Quotes: stored, ranked, or the code of their refusal.",
  },
  outcry_dlq_size: { kind: "gauge", labels: [], help: "Dead letters kept." },
  outcry_dead_letters_total: { kind: "counter", labels: ["cause"], help: "Dead letters written." },
  outcry_webhook_attempts_total: {
    kind: "counter",
    labels: ["outcome"],
    help: "Webhook attempts: delivered, retrying, dead, disabled, test.",
  },
  outcry_nodes: { kind: "gauge", labels: ["state"], help: "Registered nodes by state." },
  outcry_intake_jobs: { kind: "gauge", labels: ["state"], help: "Quotes in the intake queue." },
  outcry_dependency_up: { kind: "gauge", labels: ["name"], help: "1 while nats, redis … answer." },
  outcry_ws_connections: { kind: "gauge", labels: ["role"], help: "Open sockets." },
  outcry_ws_buffer_bytes: { kind: "gauge", labels: [], help: "Bytes queued for sockets." },
  outcry_ws_dropped_total: { kind: "counter", labels: ["reason"], help: "Sockets closed by us." },
  outcry_ws_resume_total: { kind: "counter", labels: ["result"], help: "Resumes: full, partial, none." },
  outcry_amendments_total: { kind: "counter", labels: ["result"], help: "Amendments: amended, replayed, mismatch." },
  outcry_idempotency_total: { kind: "counter", labels: ["result"], help: "POSTs with a key: new, replayed, mismatch." },
  outcry_http_request_seconds: {
    kind: "histogram",
    labels: ["route", "status"],
    buckets: FAST,
    help: "HTTP requests by route pattern.",
  },
} as const satisfies Record<string, Metric>;
