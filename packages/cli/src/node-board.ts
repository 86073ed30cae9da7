// What `node top` knows of each node: a fold over the events of intents. Pure.

import type { KnownEvent } from "@outcry/protocol";

const SAMPLES_MAX = 256; // latencies kept per node: enough for a p99 of the recent past
const DISPATCHED_MAX = 4_096; // intents whose sending times are remembered

export interface NodeRow {
  readonly node: string;
  acked: number;
  quoted: number;
  declined: number;
  retried: number;
  dead: number;
  lastSeen: string | undefined;
  /** ms from the sending of the answered attempt. */
  readonly ackMs: number[];
}

export class NodeBoard {
  readonly rows = new Map<string, NodeRow>();
  /** When an attempt went out, by intent and attempt. */
  readonly #sentAt = new Map<string, number>();
  /** An answer may be told twice: one of each kind counts. */
  readonly #seen = new Set<string>();

  take(event: KnownEvent): void {
    const { data } = event;
    switch (event.type) {
      case "INTENT_CREATED":
        return this.#sent(data.intent_id, 1, event.time);
      case "DELIVERY_RETRYING":
        this.#sent(event.data.intent_id, event.data.attempt, event.time);
        for (const node of event.data.node_ids) this.#row(node).retried++;
        return;
      case "DELIVERY_DEAD_LETTERED":
        for (const node of event.data.node_ids) this.#row(node).dead++;
        return;
      case "NODE_RESPONDED":
        for (const response of event.data.responses) this.#answered(event.data.intent_id, response);
        return;
      default:
    }
  }

  #answered(
    intent: string,
    response: Extract<KnownEvent, { type: "NODE_RESPONDED" }>["data"]["responses"][number],
  ): void {
    const { node_id, kind, status, attempt = 1, received_at } = response;
    const key = `${intent} ${node_id} ${kind} ${status}`; // a node may accept first and decline later
    if (this.#seen.has(key)) return;
    remember(this.#seen, key, DISPATCHED_MAX * 4);
    const row = this.#row(node_id);
    row.lastSeen = received_at;
    if (status === "quoted") row.quoted++;
    else if (status === "accepted") row.acked++;
    else row.declined++;
    const heard = `${intent} ${node_id}`;
    const sentAt = this.#sentAt.get(`${intent} ${attempt}`);
    if (this.#seen.has(heard) || sentAt === undefined) return;
    remember(this.#seen, heard, DISPATCHED_MAX * 4);
    row.ackMs.push(Math.max(0, Date.parse(received_at) - sentAt));
    if (row.ackMs.length > SAMPLES_MAX) row.ackMs.shift();
  }

  #sent(intent: string, attempt: number, time: string): void {
    this.#sentAt.set(`${intent} ${attempt}`, Date.parse(time));
    const [oldest] = this.#sentAt.keys();
    if (this.#sentAt.size > DISPATCHED_MAX && oldest !== undefined) this.#sentAt.delete(oldest);
  }

  #row(node: string): NodeRow {
    let row = this.rows.get(node);
    if (row === undefined) {
      row = { node, acked: 0, quoted: 0, declined: 0, retried: 0, dead: 0, lastSeen: undefined, ackMs: [] };
      this.rows.set(node, row);
    }
    return row;
  }
}

function remember(seen: Set<string>, key: string, max: number): void {
  seen.add(key);
  const [oldest] = seen;
  if (seen.size > max && oldest !== undefined) seen.delete(oldest);
}
