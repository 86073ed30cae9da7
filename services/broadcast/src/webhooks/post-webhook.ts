// One HTTP POST to a receiver: to the very addresses that were checked, without redirects, within one time for names, connection and
// answer, and with the first KiB of the answer at most.

import { request as requestHttp } from "node:http";
import { request as requestHttps, type RequestOptions } from "node:https";
import { isIP, type LookupFunction } from "node:net";
import { LIMITS } from "@outcry/protocol";
import { checkTarget } from "./check-target.js";
import type { ConnectDeps, KeptConnections, Route, Routed } from "./kept-connections.js";

export interface PostDeps extends ConnectDeps {
  readonly timeoutMs?: number;
  /** Trusted beside the system's authorities. */
  readonly ca?: string;
}

export interface WebhookPost {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
}

export type PostResult =
  | { readonly kind: "answered"; readonly status: number; readonly body: string }
  /** Nothing was sent: `refused`; it may have been: `failed`. */
  | { readonly kind: "refused" | "failed"; readonly error: string };

/** Over a kept connection, or without `kept` checked anew and on one of its own. Never rejects: whatever a receiver does is a result. */
export async function postWebhook(deps: PostDeps, post: WebhookPost, kept?: KeptConnections): Promise<PostResult> {
  const deadline = startDeadline(deps.timeoutMs ?? LIMITS.webhookTimeoutMs);
  try {
    const routed = await Promise.race([kept?.route(post.url) ?? routeOnce(deps, post.url), deadline.over]);
    if (routed === undefined) return { kind: "refused", error: "its host did not resolve in time" };
    if (routed.kind === "refused") return { kind: "refused", error: routed.reason };
    return await exchange(deps, routed, post, deadline.signal);
  } catch (error) {
    return { kind: "failed", error: deadline.signal.aborted ? "no answer in time" : describe(error) };
  } finally {
    deadline.stop();
  }
}

/** Not AbortSignal.timeout: its timer would live on behind each of a thousand attempts per second. */
function startDeadline(ms: number): { signal: AbortSignal; over: Promise<undefined>; stop: () => void } {
  const controller = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const over = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => {
      controller.abort();
      resolve(undefined);
    }, ms);
  });
  return { signal: controller.signal, over, stop: () => clearTimeout(timer) };
}

async function routeOnce({ rules, resolve }: ConnectDeps, url: string): Promise<Routed> {
  const target = await checkTarget(url, rules, resolve);
  return target.kind === "refused" ? target : { ...target, agent: false };
}

/** A receiver may close a kept connection while a request is on its way: then once more, on a new one. */
async function exchange(deps: PostDeps, route: Route, post: WebhookPost, signal: AbortSignal): Promise<PostResult> {
  try {
    return await send(deps, route, post, signal);
  } catch (error) {
    if (!(error instanceof ClosedWhileKept) || signal.aborted) throw error;
    return send(deps, { ...route, agent: false }, post, signal);
  }
}

class ClosedWhileKept extends Error {
  override readonly name = "ClosedWhileKept";
}

function send(
  { ca }: PostDeps,
  { url, addresses, agent }: Route,
  { headers, body }: WebhookPost,
  signal: AbortSignal,
): Promise<PostResult> {
  const options: RequestOptions = {
    method: "POST",
    headers: { ...headers, "content-length": body.length },
    lookup: pinned(addresses),
    agent,
    signal,
    ...(ca === undefined ? {} : { ca }),
  };
  return new Promise((resolve, reject) => {
    const sent = (url.protocol === "https:" ? requestHttps : requestHttp)(url, options, (response) => {
      const parts: Buffer[] = [];
      let bytes = 0;
      const finish = (isWhole: boolean) => {
        const text = Buffer.concat(parts).subarray(0, LIMITS.webhookAnswerBytesMax).toString();
        resolve({ kind: "answered", status: response.statusCode!, body: text });
        // Neither heard nor sent to its end, the connection is of no more use.
        if (!isWhole || !sent.writableFinished) sent.destroy();
      };
      response.on("data", (part: Buffer) => {
        parts.push(part);
        bytes += part.length;
        if (bytes >= LIMITS.webhookAnswerBytesMax) finish(false);
      });
      response.on("end", () => finish(true));
      response.on("error", reject);
    });
    sent.on("error", (error: NodeJS.ErrnoException) => {
      const closed = sent.reusedSocket && (error.code === "ECONNRESET" || error.code === "EPIPE");
      reject(closed ? new ClosedWhileKept("closed by the receiver", { cause: error }) : error);
    });
    // Without a listener Node destroys a request that is answered with 101, and says nothing.
    sent.on("upgrade", ({ statusCode }) => {
      resolve({ kind: "answered", status: statusCode!, body: "" });
      sent.destroy();
    });
    sent.on("close", () => reject(new Error("closed without an answer")));
    sent.end(body);
  });
}

/** Answers with what was checked, whatever is asked. */
const pinned =
  (addresses: readonly string[]): LookupFunction =>
  (_host, options, callback) => {
    const all = addresses.map((address) => ({ address, family: isIP(address) }));
    if (options.all) callback(null, all);
    else callback(null, all[0]!.address, all[0]!.family);
  };

/** The code of Node's error, never its text: that may hold addresses. */
function describe(error: unknown): string {
  const { code, errors } = error as { code?: string; errors?: { code?: string }[] };
  const known = code ?? errors?.[0]?.code;
  return known === undefined ? "the connection failed" : `the connection failed: ${known}`;
}
