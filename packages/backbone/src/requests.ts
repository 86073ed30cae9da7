// Pending requests of one connection over one inbox subscription. Replaces nats.js's own, whose requests wait out their
// whole timeout after a disconnect: these fail at once, with an outcome that is unknown.

import { OutcryError } from "@outcry/protocol";
import type { Incoming } from "./headers.js";

interface Pending {
  readonly subject: string;
  /** True when no further reply is wanted. */
  readonly onReply: (message: Incoming) => boolean;
  readonly onFail: (error: OutcryError) => void;
  readonly timer: NodeJS.Timeout;
}

export interface OpenRequest {
  subject: string;
  /** Silence after which the request fails; each reply starts it anew. */
  timeoutMs: number;
  onReply: Pending["onReply"];
  onFail: Pending["onFail"];
}

/** Nobody subscribes to the subject: no service, or for a stream's subject no stream. */
export class NobodyAnswersError extends OutcryError {
  constructor(subject: string) {
    super("dependency_unavailable", `nats: nobody answers on ${subject}`);
  }
}

export class Requests {
  readonly inbox: string;
  readonly #pending = new Map<string, Pending>();
  #next = 0;

  /** `inbox` ends without a dot; replies arrive on `<inbox>.<token>`. */
  constructor(inbox: string) {
    this.inbox = inbox;
  }

  get size(): number {
    return this.#pending.size;
  }

  /** Registers a request and returns the reply subject to publish it with. */
  open(request: OpenRequest): string {
    const token = (this.#next++).toString(36);
    const timer = setTimeout(() => {
      this.#fail(
        token,
        unavailable(`no answer on ${request.subject} within ${request.timeoutMs} ms; the outcome is unknown`),
      );
    }, request.timeoutMs);
    this.#pending.set(token, { subject: request.subject, onReply: request.onReply, onFail: request.onFail, timer });
    return `${this.inbox}.${token}`;
  }

  cancel(reply: string): void {
    this.#take(reply.slice(this.inbox.length + 1));
  }

  deliver(message: Incoming): void {
    const token = message.subject.slice(this.inbox.length + 1);
    const pending = this.#pending.get(token);
    if (pending === undefined) return; // answered late: its request has failed already
    if (message.data.length === 0 && message.headers.status === 503) {
      this.#fail(token, new NobodyAnswersError(pending.subject));
    } else if (pending.onReply(message)) this.#take(token);
    else pending.timer.refresh();
  }

  failAll(detail: string): void {
    for (const token of this.#pending.keys()) this.#fail(token, unavailable(detail));
  }

  /** The server refused to take a publish on `subject`: its requests would wait for nothing. */
  failSubject(subject: string): void {
    for (const [token, pending] of this.#pending) {
      if (pending.subject === subject)
        this.#fail(token, new OutcryError("permission_denied", `nats: no permission to publish on ${subject}`));
    }
  }

  #fail(token: string, error: OutcryError): void {
    this.#take(token)?.onFail(error);
  }

  #take(token: string): Pending | undefined {
    const pending = this.#pending.get(token);
    if (pending === undefined) return undefined;
    clearTimeout(pending.timer);
    this.#pending.delete(token);
    return pending;
  }
}

const unavailable = (detail: string) => new OutcryError("dependency_unavailable", `nats: ${detail}`);
