// A client of the gateway, or of the bare server, where there is nothing to ask for. It keeps count, and its cursor where that is wanted.

import { WsClient } from "./ws-client.js";

/** What a client of the gateway says: who it is, and what it wants to hear. */
export interface Access {
  token: string;
  channel: string;
}

interface Reply {
  id: number;
  ok?: { c?: string; recovered?: boolean };
  err?: { code: string };
}

export interface SubscriberOptions {
  /** Where it was before. */
  cursor?: string;
  /** Of every event from the first on. */
  onEvent?: (payload: Buffer) => void;
}

const CURSOR_CHARS = 23;
const EVENT_BYTES_MIN = 150; // a reply and a `pos` have fewer
const ID_AT = 2; // `{"id"` is a reply, `{"ch"` an event or `pos`

export class Subscriber {
  /** Events that came. */
  events = 0;
  /** Bytes of the last event's frame, its header too. */
  frameBytes = 0;
  cursor = "";
  onEvent: (payload: Buffer) => void = () => undefined;
  readonly client: WsClient;
  readonly #access: Access | undefined;
  #answered: (reply: Reply) => void = () => undefined;
  #nextId = 1;

  private constructor(client: WsClient, access: Access | undefined) {
    this.client = client;
    this.#access = access;
    client.onText = (payload) => this.#take(payload);
  }

  /** Connected, and live where there is something to subscribe to. */
  static async open(
    port: number,
    access: Access | undefined,
    { cursor, onEvent }: SubscriberOptions = {},
  ): Promise<Subscriber> {
    const subscriber = new Subscriber(await WsClient.open(port), access);
    if (onEvent !== undefined) subscriber.onEvent = onEvent;
    if (access === undefined) return subscriber;
    try {
      await subscriber.#introduce(access, cursor);
      return subscriber;
    } catch (error) {
      subscriber.client.drop();
      throw error;
    }
  }

  /** As `@outcry/client` does: who it is and what it wants, in one frame. */
  async #introduce({ token, channel }: Access, cursor: string | undefined): Promise<void> {
    const { ok } = await this.command({ op: "auth", token }, { op: "sub", ch: channel, cur: cursor });
    this.cursor = ok!.c!;
  }

  async subscribe(cursor?: string): Promise<boolean | undefined> {
    const { ok } = await this.command({ op: "sub", ch: this.#access!.channel, cur: cursor });
    if (this.cursor === "") this.cursor = ok!.c!;
    return ok!.recovered;
  }

  /** In one frame. The reply to the last of them, or the first refusal. */
  command(...commands: object[]): Promise<Reply> {
    const lines = commands.map((command) => JSON.stringify({ id: this.#nextId++, ...command }));
    const lastId = this.#nextId - 1;
    return new Promise((resolve, reject) => {
      this.#answered = (reply) => {
        if (reply.err !== undefined) reject(new Error(`refused: ${reply.err.code}`));
        else if (reply.id === lastId) resolve(reply);
      };
      this.client.onClose = () => reject(new Error("closed before the reply"));
      this.client.send(lines.join("\n"));
    });
  }

  #take(payload: Buffer): void {
    if (payload.length >= EVENT_BYTES_MIN && payload[ID_AT] !== ID_CHAR) {
      this.events++;
      this.frameBytes = payload.length + (payload.length < 65_536 ? 4 : 10);
      this.onEvent(payload);
    } else if (payload[ID_AT] === ID_CHAR) this.#answered(JSON.parse(payload.toString()) as Reply);
  }
}

const ID_CHAR = "i".charCodeAt(0);

/** Of an event, as the gateway spells it. */
export function cursorIn(payload: Buffer, channel: string): string {
  const at = '{"ch":"","c":"'.length + channel.length;
  return payload.toString("latin1", at, at + CURSOR_CHARS);
}
