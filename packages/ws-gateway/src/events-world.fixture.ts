// A nats-server, its EVENTS stream made anew for each test, and gateways on it.

import { type Backbone, readAll } from "@outcry/backbone";
import { eventsSource, startGateway, type TestGateway, TestPublisher } from "./engine.fixture.js";
import type { GatewayDeps } from "./gateway.js";
import type { EventSource } from "./log/event-source.js";
import type { GatewayLimits } from "./limits.js";
import { deleteEvents, makeEvents, startTestNats, type TestNats } from "./nats-server.fixture.js";

export class EventsWorld {
  readonly nats: TestNats;
  readonly backbone: Backbone;
  publisher: TestPublisher;
  readonly gateways: TestGateway[] = [];
  #epoch = 0;

  constructor(nats: TestNats, backbone: Backbone) {
    this.nats = nats;
    this.backbone = backbone;
    this.publisher = new TestPublisher(backbone);
  }

  static async start(): Promise<EventsWorld> {
    const nats = await startTestNats();
    return new EventsWorld(nats, await nats.connect());
  }

  get epoch(): string {
    return `epoch-${this.#epoch}`;
  }

  get source(): EventSource {
    return eventsSource(this.backbone);
  }

  /** No gateways, an empty stream, numbers from 1. */
  async renew(): Promise<void> {
    for (const gateway of this.gateways.splice(0)) await gateway.stop();
    if (this.#epoch > 0) await deleteEvents(this.backbone);
    await this.makeStream();
    this.publisher = new TestPublisher(this.backbone);
  }

  /** Under an epoch of its own. */
  async makeStream(): Promise<void> {
    this.#epoch++;
    await makeEvents(this.backbone, this.epoch);
  }

  async gateway(
    source: EventSource = this.source,
    limits: Partial<GatewayLimits> = {},
    port = 0,
    more: Partial<GatewayDeps> = {},
  ): Promise<TestGateway> {
    const options = { ...more, limits: { tailCheckMs: 50, headCheckMs: 500, ...limits } };
    const gateway = await startGateway(source, options, port);
    this.gateways.push(gateway);
    return gateway;
  }

  /** Numbers in the order of the stream. */
  async recorded(filter: string): Promise<number[]> {
    const numbers: number[] = [];
    for await (const { data } of readAll(this.backbone, "EVENTS", { filter })) {
      numbers.push((JSON.parse(Buffer.from(data).toString()) as { n: number }).n);
    }
    return numbers;
  }

  async remove(): Promise<void> {
    for (const gateway of this.gateways.splice(0)) await gateway.stop();
    await this.nats.remove();
  }
}
