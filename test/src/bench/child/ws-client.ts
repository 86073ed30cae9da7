// A WebSocket client that costs little, so that the server is what is measured: one TCP socket, frames cut by their lengths, answers to pings.

import { once } from "node:events";
import { type Socket, connect } from "node:net";

const HANDSHAKE_END = "\r\n\r\n";
const MASKED = 0x80;
const PONG = maskedText('{"op":"pong"}');
const CLOSE_OPCODE = 8;

export class WsClient {
  readonly socket: Socket;
  /** Of each text frame but pings. */
  onText: (payload: Buffer) => void = () => undefined;
  onClose: () => void = () => undefined;
  #rest: Buffer | undefined;

  private constructor(socket: Socket) {
    this.socket = socket;
  }

  static async open(port: number): Promise<WsClient> {
    const socket = connect({ port, host: "127.0.0.1", noDelay: true });
    const client = new WsClient(socket);
    socket.on("error", () => undefined); // what it means for the run is told by "close"
    socket.on("close", () => client.onClose());
    socket.write(
      `GET /v1/ws HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
        `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==${HANDSHAKE_END}`,
    );
    let head = Buffer.alloc(0);
    while (!head.includes(HANDSHAKE_END)) {
      const [chunk] = (await Promise.race([once(socket, "data"), once(socket, "close").then(() => [undefined])])) as [
        Buffer | undefined,
      ];
      if (chunk === undefined) throw new Refused("the server closed the socket during the handshake");
      head = Buffer.concat([head, chunk]);
    }
    if (!head.toString("latin1").startsWith("HTTP/1.1 101"))
      throw new Refused(head.toString("latin1").split("\r\n")[0]);
    const rest = head.subarray(head.indexOf(HANDSHAKE_END) + HANDSHAKE_END.length);
    socket.on("data", (chunk) => client.#take(chunk));
    if (rest.length > 0) client.#take(rest);
    return client;
  }

  send(text: string): void {
    this.socket.write(maskedText(text));
  }

  /** Without a farewell, and without the port waiting for a minute. */
  drop(): void {
    this.onClose = () => undefined;
    this.socket.resetAndDestroy();
  }

  #take(chunk: Buffer): void {
    const bytes = this.#rest === undefined ? chunk : Buffer.concat([this.#rest, chunk]);
    let at = 0;
    for (;;) {
      const end = frameEnd(bytes, at);
      if (end === undefined || end.until > bytes.length) break;
      this.#onFrame(bytes[at]! & 0x0f, bytes.subarray(end.payloadAt, end.until));
      at = end.until;
    }
    this.#rest = at === bytes.length ? undefined : bytes.subarray(at);
  }

  #onFrame(opcode: number, payload: Buffer): void {
    if (opcode === CLOSE_OPCODE) this.socket.destroy();
    else if (payload.length === 2 && payload.toString("latin1") === "{}") this.socket.write(PONG);
    else this.onText(payload);
  }
}

/** Not now, maybe later: a server that is starting or has gone away. */
export class Refused extends Error {}

/** Undefined while the header is not whole. */
function frameEnd(bytes: Buffer, at: number): { payloadAt: number; until: number } | undefined {
  if (bytes.length < at + 2) return undefined;
  const short = bytes[at + 1]!;
  if (short < 126) return { payloadAt: at + 2, until: at + 2 + short };
  if (bytes.length < at + 10 && (short === 127 || bytes.length < at + 4)) return undefined;
  if (short === 126) return { payloadAt: at + 4, until: at + 4 + bytes.readUInt16BE(at + 2) };
  return { payloadAt: at + 10, until: at + 10 + bytes.readUInt32BE(at + 6) };
}

/** With a mask of zeros, which leaves the bytes as they are (RFC 6455 §5.3). */
function maskedText(text: string): Buffer {
  const payload = Buffer.from(text);
  const header =
    payload.length < 126
      ? Buffer.from([0x81, MASKED | payload.length, 0, 0, 0, 0])
      : Buffer.from([0x81, MASKED | 126, payload.length >> 8, payload.length & 0xff, 0, 0, 0, 0]);
  return Buffer.concat([header, payload]);
}
