// The exact topic of an intent. A wildcard filter over 300,000 events costs the server 16 ms, the exact subject 2: so the buyer's
// token is looked up once per intent.

import { type Backbone, readBatch } from "@outcry/backbone";
import { TOPICS } from "@outcry/protocol";

const TOPICS_MAX = 10_000; // about 1.5 MB; an evicted one is looked up again

export interface IntentTopicsDeps {
  readonly backbone: Backbone;
  /** EVENTS or its tap. */
  readonly stream: string;
}

export class IntentTopics {
  readonly #deps: IntentTopicsDeps;
  readonly #known = new Map<string, string>();

  constructor(deps: IntentTopicsDeps) {
    this.#deps = deps;
  }

  /** While the intent has no event yet: the wildcard filter, which matches its topic alone. */
  async resolve(backendId: string | undefined, intentId: string): Promise<string> {
    const filter = backendId === undefined ? TOPICS.anyIntent(intentId) : TOPICS.intentOfBackend(backendId, intentId);
    const known = this.#known.get(filter);
    if (known !== undefined) return known;
    const { messages } = await readBatch(this.#deps.backbone, this.#deps.stream, { seq: 1, filter, batch: 1 });
    const subject = messages[0]?.subject;
    if (subject === undefined) return filter;
    if (this.#known.size >= TOPICS_MAX) this.#known.delete(this.#known.keys().next().value!); // the oldest
    this.#known.set(filter, subject);
    return subject;
  }
}
