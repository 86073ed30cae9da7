// The least that a server of this kind must do: `ws` for the handshake, complete frames made beforehand, one write per socket for all
// that one turn of the event loop brought. It hears NATS through a bare callback.

import { type NatsConnection, type Subscription, createInbox } from "@nats-io/transport-node";
import { livePrefix, STREAMS } from "@outcry/protocol";
import { createCipheriv, createDecipheriv } from "node:crypto";
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { WebSocketServer } from "ws";
import { type Run, closedLoop } from "../closed-loop.js";
import { BARE_TIMEOUT_MS, type Place, connectBare } from "./place.js";
import { probeVerbs } from "./server-probe.js";

const REGION = "local";
const DIRECT_GET = `$JS.API.DIRECT.GET.${STREAMS.events}`;
const END_OF_PAGE = 204;
const FIN_TEXT = 0x81;
const CURSOR_KEY = Buffer.alloc(16, 7); // of cursors that nobody reads

export function bareSocketsRole() {
  const sockets = new Set<Duplex>();
  let bare: NatsConnection;
  let server: Server;
  let subscription: Subscription | undefined;
  /** Written to whoever sends a message. */
  let answer: Buffer = frameOf(2);
  const answering = new AnsweringLoop();
  let reads = false;
  let heard = 0;

  const verbs = {
    ...probeVerbs(),
    /** Returns its port. */
    async start({ place, port }: { place: Place; port: number }): Promise<number> {
      bare = await connectBare(place, "baresockets");
      const upgrades = new WebSocketServer({ noServer: true, perMessageDeflate: false, clientTracking: false });
      server = createServer();
      server.on("upgrade", (request, socket, head) =>
        upgrades.handleUpgrade(request, socket, head, (ws) => {
          sockets.add(socket);
          ws.on("message", (message) => {
            if (reads) answering.answer(socket, message as Buffer, answer);
            else socket.write(answer);
          });
          ws.on("error", () => undefined);
          ws.on("close", () => sockets.delete(socket));
        }),
      );
      server.listen(port, "127.0.0.1");
      await once(server, "listening");
      return (server.address() as AddressInfo).port;
    },
    /** From now on each event of the topic is a frame of so many bytes to every socket. */
    async broadcast({ topic, frameBytes }: { topic: string; frameBytes: number }): Promise<void> {
      const frame = frameOf(frameBytes);
      let due: Buffer[] = [];
      const flush = (): void => {
        const bytes = due.length === 1 ? due[0]! : Buffer.concat(due);
        due = [];
        for (const socket of sockets) socket.write(bytes);
      };
      subscription = bare.subscribe(`${livePrefix(REGION)}.${topic}`, {
        callback: () => {
          if (due.push(frame) === 1) setImmediate(flush);
        },
      });
      await bare.flush();
    },
    /** Whoever sends a message gets so many frames in one write; with `channel`, where it is a resume of that. */
    async answerWith({ frames, frameBytes, channel }: Answer): Promise<void> {
      answer = Buffer.concat(Array.from({ length: frames }, () => frameOf(frameBytes)));
      reads = channel !== undefined;
      if (channel !== undefined) answering.allow(channel);
    },
    async listen(): Promise<void> {
      heard = 0;
      subscription = bare.subscribe(`${livePrefix(REGION)}.rt.>`, { callback: () => void heard++ });
      await bare.flush();
    },
    async hush(): Promise<void> {
      subscription?.unsubscribe();
      await bare.flush();
    },
    /** Resolves when so many messages have come since it listens. */
    async untilHeard(count: number): Promise<void> {
      const untilMs = performance.now() + BARE_TIMEOUT_MS;
      for (let now = heard; now < count; now = heard) {
        if (performance.now() > untilMs) throw new Error(`${now} of ${count} messages were heard`);
        await new Promise((resolve) => setTimeout(resolve, 2));
      }
    },
    /** Batched Direct Get of a subject's first `batch` events, `inFlight` at a time. */
    async runDirectGets({
      subjects,
      batch,
      inFlight,
    }: {
      subjects: string[];
      batch: number;
      inFlight: number;
    }): Promise<Run> {
      return closedLoop({ count: subjects.length, inFlight }, (index) => directGet(bare, subjects[index]!, batch));
    },
  };
  return {
    verbs,
    async stop() {
      server?.closeAllConnections();
      server?.close();
      await bare?.close();
    },
  };
}

interface Answer {
  frames: number;
  frameBytes: number;
  channel?: string;
}

/** The least that reading a resume and answering it takes: JSON, a look at rights, one block of a cipher per cursor, three pieces in one write. */
class AnsweringLoop {
  readonly #rights = new Set<string>();
  readonly #seal = createCipheriv("aes-128-ecb", CURSOR_KEY, null).setAutoPadding(false);
  readonly #open = createDecipheriv("aes-128-ecb", CURSOR_KEY, null).setAutoPadding(false);
  readonly #block = Buffer.alloc(CURSOR_KEY.length);

  allow(channel: string): void {
    this.#rights.add(channel);
  }

  answer(socket: Duplex, message: Buffer, frames: Buffer): void {
    const { id, ch, cur } = JSON.parse(message.toString()) as { id: number; ch: string; cur: string };
    const position = this.#open.update(Buffer.from(cur.slice(0, -1), "base64url"));
    if (!this.#rights.has(ch) || position.length !== CURSOR_KEY.length) throw new Error(`not a resume of ${ch}`);
    socket.cork();
    socket.write(textFrame(JSON.stringify({ id, ok: { ch, c: this.#cursor(), recovered: true } })));
    socket.write(frames);
    socket.write(textFrame(JSON.stringify({ ch, pos: this.#cursor() })));
    socket.uncork();
  }

  #cursor(): string {
    return `${this.#seal.update(this.#block).toString("base64url")}a`;
  }
}

export type BareSocketsVerbs = ReturnType<typeof bareSocketsRole>["verbs"];

function textFrame(text: string): Buffer {
  const frame = frameOf(Buffer.byteLength(text) + (text.length < 126 ? 2 : 4));
  frame.write(text, frame.length - Buffer.byteLength(text));
  return frame;
}

/** A text frame (RFC 6455 §5.2) of so many bytes in all. */
function frameOf(bytes: number): Buffer {
  const frame = Buffer.alloc(bytes, "x");
  frame[0] = FIN_TEXT;
  if (bytes < 2 + 126) frame[1] = bytes - 2;
  else if (bytes < 4 + 65_536) {
    frame[1] = 126;
    frame.writeUInt16BE(bytes - 4, 2);
  } else {
    frame[1] = 127;
    frame.writeBigUInt64BE(BigInt(bytes - 10), 2);
  }
  return frame;
}

function directGet(bare: NatsConnection, subject: string, batch: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const reply = createInbox("_INBOX_baresockets");
    let got = 0;
    const subscription = bare.subscribe(reply, {
      timeout: BARE_TIMEOUT_MS,
      callback: (error, message) => {
        const status = message?.headers?.code ?? 0;
        if (error === null && status === 0) {
          got++;
          return;
        }
        subscription.unsubscribe();
        if (error === null && status === END_OF_PAGE && got === batch) resolve();
        else reject(error ?? new Error(`${got} of ${batch} events of ${subject}, status ${status}`));
      },
    });
    bare.publish(DIRECT_GET, JSON.stringify({ seq: 1, next_by_subj: subject, batch }), { reply });
  });
}
