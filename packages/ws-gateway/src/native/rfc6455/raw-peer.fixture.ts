// A WebSocket client that is nothing but a TCP connection: what it writes is the test's affair, what it hears is kept as it came.

import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { setImmediate as nextTurn, setTimeout as sleep } from "node:timers/promises";
import { closeFrame, frame, FrameReader, OP, type ServerFrame } from "./frames.fixture.js";

export const UPGRADE_REQUEST = [
  "GET /v1/ws HTTP/1.1",
  "Host: gateway",
  "Connection: Upgrade",
  "Upgrade: websocket",
  "Sec-WebSocket-Version: 13",
  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
  "",
  "",
].join("\r\n");

export class RawPeer {
  readonly socket: Socket;
  readonly frames: ServerFrame[] = [];
  /** Answers the server's close frame, as §5.5.1 asks. */
  answersClose = true;
  /** The server ended the TCP connection. */
  ended = false;
  /** What broke: a frame that no server may send, something behind its close frame, or the connection itself. */
  failure: string | undefined;
  readonly #reader = new FrameReader();
  #head: string | undefined = "";

  constructor(url: string) {
    this.socket = connect(Number(new URL(url).port), "127.0.0.1");
    this.socket.setNoDelay(true);
    this.socket.on("data", (chunk) => this.#onData(chunk));
    this.socket.on("end", () => (this.ended = true));
    this.socket.on("error", (error) => {
      if (this.closes.length === 0) this.failure ??= String(error); // behind its close the server need not read on
    });
  }

  /** Upgraded. */
  static async open(url: string): Promise<RawPeer> {
    const peer = new RawPeer(url);
    await once(peer.socket, "connect");
    peer.socket.write(UPGRADE_REQUEST);
    await peer.until(() => peer.#head === undefined);
    if (peer.#head !== undefined) throw new Error(`no upgrade: ${peer.failure ?? peer.#head}`);
    return peer;
  }

  /** Upgraded, known, and subscribed to everything. */
  static async subscribed(url: string): Promise<RawPeer> {
    const peer = await RawPeer.open(url);
    await peer.#ask("auth", '"op":"auth","token":"raw"');
    await peer.#ask("sub", '"op":"sub","ch":"all:"');
    return peer;
  }

  /** Each as a write of its own, given to the kernel before the next. Stops where the server has gone. */
  async write(chunks: readonly Buffer[]): Promise<void> {
    for (const chunk of chunks) {
      if (this.ended || this.socket.destroyed) return;
      const error = await new Promise<Error | null | undefined>((resolve) => this.socket.write(chunk, resolve));
      if (error) return;
      await nextTurn();
    }
  }

  /** Ids of the commands that were answered, in order. */
  get echoes(): string[] {
    return this.#messages.flatMap(({ id, ok }) => (ok === undefined || id === undefined ? [] : [id]));
  }

  get pongs(): Buffer[] {
    return this.frames.filter(({ opcode }) => opcode === OP.pong).map(({ payload }) => payload);
  }

  /** Codes of the server's close frames; 1005 for one without. */
  get closes(): number[] {
    const frames = this.frames.filter(({ opcode }) => opcode === OP.close);
    return frames.map(({ payload }) => (payload.length === 0 ? 1005 : payload.readUInt16BE(0)));
  }

  /** Numbers of the events. */
  get numbers(): number[] {
    return this.#messages.flatMap(({ d }) => (d === undefined ? [] : [d.n]));
  }

  /** Nothing more comes of the server. */
  get over(): boolean {
    return this.ended || this.socket.destroyed;
  }

  /** Waits for it, or for the end of the connection, or so long. Says nothing: the test judges what came. */
  async until(check: () => boolean, withinMs = 5_000): Promise<void> {
    const deadline = performance.now() + withinMs;
    while (!check() && !this.over && performance.now() < deadline) await sleep(1);
  }

  answered(id: string): boolean {
    return this.echoes.includes(id);
  }

  destroy(): void {
    this.socket.destroy();
  }

  async #ask(id: string, members: string): Promise<void> {
    this.socket.write(frame(OP.text, `{"id":"${id}",${members}}`));
    await this.until(() => this.answered(id));
    if (!this.answered(id)) throw new Error(`${id} was refused: close ${this.closes.join()}`);
  }

  get #messages(): { id?: string; ok?: object; d?: { n: number } }[] {
    const texts = this.frames.filter(({ opcode }) => opcode === OP.text).map(({ payload }) => payload.toString());
    return texts.flatMap((text) => text.split("\n")).map((line) => JSON.parse(line) as { id?: string });
  }

  #onData(chunk: Buffer): void {
    const bytes = this.#head === undefined ? chunk : this.#upgraded(chunk);
    if (bytes.length === 0) return;
    if (this.closes.length > 0) this.failure ??= `${bytes.length} bytes behind the close frame`; // §5.5.1
    try {
      this.frames.push(...this.#reader.read(bytes));
      const last = this.frames.findIndex(({ opcode }) => opcode === OP.close);
      if (last >= 0 && (last < this.frames.length - 1 || this.#reader.rest > 0))
        this.failure ??= "more behind the close frame";
      if (last >= 0 && this.answersClose) this.socket.write(closeFrame(1000));
    } catch (error) {
      this.failure ??= String(error);
    }
  }

  /** What stands behind the answer's head. */
  #upgraded(chunk: Buffer): Buffer {
    const text = this.#head + chunk.toString("latin1");
    const end = text.indexOf("\r\n\r\n");
    this.#head = end < 0 || !text.startsWith("HTTP/1.1 101 ") ? text : undefined;
    return this.#head === undefined ? Buffer.from(text.slice(end + 4), "latin1") : Buffer.alloc(0);
  }
}
