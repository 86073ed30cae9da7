// One HTTP POST to a receiver: checked anew each time, to the very addresses that were checked, without redirects, within one
// time for names, connection and answer, and with the first KiB of the answer at most.

import { request as requestHttp } from "node:http";
import { request as requestHttps, type RequestOptions } from "node:https";
import { isIP, type LookupFunction } from "node:net";
import { LIMITS } from "@outcry/protocol";
import { type ResolveHost, type TargetRules, checkTarget } from "./check-target.js";

export interface PostDeps {
  readonly rules: TargetRules;
  readonly resolve: ResolveHost;
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

/** Never rejects: whatever a receiver does is a result. */
export async function postWebhook(deps: PostDeps, post: WebhookPost): Promise<PostResult> {
  const deadline = AbortSignal.timeout(deps.timeoutMs ?? LIMITS.webhookTimeoutMs);
  const target = await Promise.race([checkTarget(post.url, deps.rules, deps.resolve), late(deadline)]);
  if (target === "late") return { kind: "refused", error: "its host did not resolve in time" };
  if (target.kind === "refused") return { kind: "refused", error: target.reason };
  try {
    return await exchange(deps, target, post, deadline);
  } catch (error) {
    return { kind: "failed", error: deadline.aborted ? "no answer in time" : describe(error) };
  }
}

const late = (signal: AbortSignal): Promise<"late"> =>
  new Promise((resolve) => signal.addEventListener("abort", () => resolve("late"), { once: true }));

function exchange(
  { ca }: PostDeps,
  { url, addresses }: { url: URL; addresses: readonly string[] },
  { headers, body }: WebhookPost,
  signal: AbortSignal,
): Promise<PostResult> {
  const options: RequestOptions = {
    method: "POST",
    headers: { ...headers, "content-length": body.length },
    lookup: pinned(addresses),
    agent: false, // a kept connection would outlive the check of its address
    signal,
    ...(ca === undefined ? {} : { ca }),
  };
  return new Promise((resolve, reject) => {
    const sent = (url.protocol === "https:" ? requestHttps : requestHttp)(url, options, (response) => {
      const parts: Buffer[] = [];
      let bytes = 0;
      const finish = () => {
        const text = Buffer.concat(parts).subarray(0, LIMITS.webhookAnswerBytesMax).toString();
        resolve({ kind: "answered", status: response.statusCode!, body: text });
        sent.destroy();
      };
      response.on("data", (part: Buffer) => {
        parts.push(part);
        bytes += part.length;
        if (bytes >= LIMITS.webhookAnswerBytesMax) finish();
      });
      response.on("end", finish);
      response.on("error", reject);
    });
    sent.on("error", reject);
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
