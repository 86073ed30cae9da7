// A headless Chromium over the Chrome DevTools Protocol (chromedevtools.github.io/devtools-protocol), as much as the tests of pages need.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import type { Readable, Writable } from "node:stream";
import { findChromium } from "@outcry/servers";
import { repository } from "./workspaces.js";

const STDERR_CHARS = 2_000; // kept, for whoever reads why it ended

interface CdpMessage {
  id?: number;
  sessionId?: string;
  method?: string;
  params?: Record<string, unknown>;
  result?: Record<string, unknown>;
  error?: { message: string };
}

export class Browser {
  readonly #child: ChildProcess;
  readonly #profile: string;
  readonly #commands: Writable;
  readonly #waiting = new Map<number, (message: CdpMessage) => void>();
  readonly #pages = new Map<string, Page>();
  #lastId = 0;
  #said = "";

  private constructor(file: string) {
    this.#profile = mkdtempSync(path.join(tmpdir(), "outcry-browser-"));
    const flags = [
      "--headless",
      "--no-sandbox", // which root may not use; only pages of ours are opened
      "--disable-gpu",
      "--remote-debugging-pipe", // with which it ends when this process ends, whatever ends it
      `--user-data-dir=${this.#profile}`,
      "about:blank",
    ];
    this.#child = spawn(file, flags, { stdio: ["ignore", "ignore", "pipe", "pipe", "pipe"], detached: true }); // a group of its own
    this.#child.stderr!.on(
      "data",
      (more: Buffer) => (this.#said = (this.#said + more.toString()).slice(-STDERR_CHARS)),
    );
    this.#child.once("exit", (code, signal) => this.#onEnd(`ended with ${code ?? signal}`));
    this.#commands = this.#child.stdio[3] as Writable;
    this.#commands.on("error", () => undefined); // its end tells
    const read = messagesIn((text) => this.#onMessage(JSON.parse(text) as CdpMessage));
    (this.#child.stdio[4] as Readable).on("data", read);
  }

  /** Found or fetched as the servers are; it throws with what to do when there is none. */
  static async start(): Promise<Browser> {
    const dataDir = path.join(repository, ".outcry");
    const { path: file } = await findChromium({ dataDir, env: process.env });
    const browser = new Browser(file);
    await browser.send("Browser.getVersion");
    return browser;
  }

  async open(url: string, size: { width: number; height: number }): Promise<Page> {
    const { targetId } = await this.send("Target.createTarget", { url: "about:blank", ...size });
    const { sessionId } = await this.send("Target.attachToTarget", { targetId, flatten: true });
    const page = new Page(this, sessionId as string);
    this.#pages.set(sessionId as string, page);
    for (const domain of ["Page", "Runtime", "Network"]) await page.send(`${domain}.enable`);
    await page.send("Emulation.setDeviceMetricsOverride", { ...size, deviceScaleFactor: 1, mobile: false });
    await page.loaded(() => page.send("Page.navigate", { url }));
    return page;
  }

  async send(method: string, params: object = {}, sessionId?: string): Promise<Record<string, unknown>> {
    const id = ++this.#lastId;
    const answered = new Promise<CdpMessage>((resolve) => this.#waiting.set(id, resolve));
    const command = { id, method, params, ...(sessionId === undefined ? {} : { sessionId }) };
    this.#commands.write(`${JSON.stringify(command)}\0`);
    const { result, error } = await answered;
    if (error !== undefined) throw new Error(`${method}: ${error.message}`);
    return result ?? {};
  }

  async close(): Promise<void> {
    const ended = once(this.#child, "exit");
    if (this.#child.exitCode === null) {
      process.kill(-this.#child.pid!, "SIGKILL"); // the whole group: its helpers outlive it, and write on in the profile
      await ended;
    }
    rmSync(this.#profile, { recursive: true, force: true, maxRetries: 5 });
  }

  /** Who waits for an answer gets the reason why none comes. */
  #onEnd(why: string): void {
    for (const answer of this.#waiting.values()) answer({ error: { message: `Chromium ${why}\n${this.#said}` } });
    this.#waiting.clear();
  }

  #onMessage(message: CdpMessage): void {
    if (message.id !== undefined) {
      this.#waiting.get(message.id)?.(message);
      this.#waiting.delete(message.id);
    } else if (message.sessionId !== undefined) this.#pages.get(message.sessionId)?.onEvent(message);
  }
}

export class Page {
  /** Exceptions and errors that the page wrote to its console. */
  readonly faults: string[] = [];
  readonly #browser: Browser;
  readonly #session: string;
  #onLoad: () => void = () => undefined;

  constructor(browser: Browser, session: string) {
    this.#browser = browser;
    this.#session = session;
  }

  send(method: string, params: object = {}): Promise<Record<string, unknown>> {
    return this.#browser.send(method, params, this.#session);
  }

  /** Resolves when the page that `begin` asks for is loaded. */
  async loaded(begin: () => Promise<unknown>): Promise<void> {
    const loaded = new Promise<void>((resolve) => (this.#onLoad = resolve));
    await begin();
    await loaded;
  }

  reload(): Promise<void> {
    return this.loaded(() => this.send("Page.reload"));
  }

  /** The value of an expression in the page, as JSON. */
  async evaluate<T>(expression: string): Promise<T> {
    const { result, exceptionDetails } = await this.send("Runtime.evaluate", {
      expression,
      returnByValue: true,
      awaitPromise: true,
    });
    if (exceptionDetails !== undefined) throw new Error(`${expression}: ${JSON.stringify(exceptionDetails)}`);
    return (result as { value: T }).value;
  }

  /** What the browser itself does without a network. */
  async offline(offline: boolean): Promise<void> {
    const throughput = { latency: 0, downloadThroughput: -1, uploadThroughput: -1 };
    await this.send("Network.emulateNetworkConditions", { offline, ...throughput });
  }

  async screenshot(file: string): Promise<void> {
    const { data } = await this.send("Page.captureScreenshot", { format: "png" });
    writeFileSync(file, Buffer.from(data as string, "base64"));
  }

  onEvent({ method, params }: CdpMessage): void {
    if (method === "Page.loadEventFired") this.#onLoad();
    if (method === "Runtime.exceptionThrown") this.faults.push(JSON.stringify(params));
  }
}

/** Texts that end with a NUL each, however the pipe cuts them. */
function messagesIn(onText: (text: string) => void): (chunk: Buffer) => void {
  let rest: Buffer[] = [];
  return (chunk) => {
    for (let from = 0; ;) {
      const end = chunk.indexOf(0, from);
      rest.push(chunk.subarray(from, end < 0 ? chunk.length : end));
      if (end < 0) return;
      onText(Buffer.concat(rest).toString());
      rest = [];
      from = end + 1;
    }
  };
}
