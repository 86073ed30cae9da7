// The service as everyone reaches it: address, TLS, readiness, clock, key, published keys, WebSocket. Needs nothing but its URL.

import { LIMITS, type Problem } from "@outcry/protocol";
import { checkPublicJwk } from "@outcry/signing";
import { WebSocket } from "ws";
import type { CommandContext } from "../command.js";
import { fetchKeySet } from "../key-set.js";
import { type Finding, fail, messageOf, ok, skip, warn } from "./finding.js";

const TIMEOUT_MS = 5_000;
const SKEW_WARN_MS = 2_000; // the Date header has whole seconds, the round trip its own time

type Api = Pick<CommandContext, "url" | "gatewayUrl" | "apiKey" | "signal">;

export async function checkApi(api: Api): Promise<Finding[]> {
  const alive = await reach(api);
  if ("finding" in alive) return [alive.finding];
  return [
    ok("api.reachable", `${api.url} answers`),
    tlsOf(api.url),
    clockOf(alive),
    ...(await readinessOf(api)),
    await keyOf(api),
    ...(await keySetOf(api)),
    await gatewayOf(api),
  ];
}

interface Alive {
  readonly date: string | null;
  /** Of the round trip, epoch ms. */
  readonly sentAt: number;
  readonly heardAt: number;
}

async function reach({ url, signal }: Api): Promise<Alive | { finding: Finding }> {
  const sentAt = Date.now();
  try {
    const answer = await get(`${url}/livez`, signal);
    if (answer.ok) return { date: answer.headers.get("date"), sentAt, heardAt: Date.now() };
    return {
      finding: fail("api.reachable", `${url}/livez answered ${answer.status}`, {
        wanted: "200",
        fix: "is this the URL of Outcry? --url",
      }),
    };
  } catch (error) {
    const fix = "start it, or name it with --url or OUTCRY_URL";
    return { finding: fail("api.reachable", `${url}: ${messageOf(error)}`, { wanted: "an answer", fix }) };
  }
}

const LOOPBACK = /^(127\.\d+\.\d+\.\d+|localhost|\[::1\])$/;

function tlsOf(url: string): Finding {
  const { protocol, hostname } = new URL(url);
  if (protocol === "https:") return ok("api.tls", "HTTPS");
  if (LOOPBACK.test(hostname)) return ok("api.tls", "plain HTTP, on loopback only");
  const fix = "set OUTCRY_TLS_CERT_FILE and OUTCRY_TLS_KEY_FILE, or end TLS in a proxy";
  return fail("api.tls", "plain HTTP beyond loopback: keys can be read on the way", { wanted: "https://", fix });
}

/** The header is cut to the second: the true time lies within one second after it. */
function clockOf({ date, sentAt, heardAt }: Alive): Finding {
  const theirs = date === null ? NaN : Date.parse(date);
  if (Number.isNaN(theirs)) return skip("api.clock", "no Date header", "let the proxy pass the Date header");
  const behind = Math.max(0, theirs - heardAt);
  const ahead = Math.max(0, sentAt - (theirs + 1_000));
  const skewMs = behind > 0 ? -behind : ahead;
  const found =
    skewMs === 0 ? "within the second" : `${Math.abs(skewMs)} ms ${skewMs > 0 ? "ahead of" : "behind"} the service`;
  const advice = {
    wanted: `below ${LIMITS.clockSkewMs} ms`,
    fix: "run an NTP client on both machines (timedatectl set-ntp true)",
  };
  if (Math.abs(skewMs) >= LIMITS.clockSkewMs) return fail("api.clock", found, advice);
  return Math.abs(skewMs) > SKEW_WARN_MS ? warn("api.clock", found, advice) : ok("api.clock", found);
}

interface Readiness {
  checks?: Record<string, { ok: boolean; detail: string }>;
}

async function readinessOf({ url, signal }: Api): Promise<Finding[]> {
  const answer = await get(`${url}/readyz`, signal);
  const { checks = {} } = (await answer.json()) as Readiness;
  return Object.entries(checks).map(([name, { ok: good, detail }]) =>
    good
      ? ok(`ready.${name}`, detail)
      : fail(`ready.${name}`, detail, { wanted: "ready", fix: `see the service's log for ${name.split(".").at(-1)!}` }),
  );
}

/** A read that every role but buyers may ask: 403 says the key is good, for another role. */
async function keyOf({ url, apiKey, signal }: Api): Promise<Finding> {
  if (apiKey === undefined) return skip("api.key", "no key given", "set OUTCRY_API_KEY or give --key");
  const answer = await get(`${url}/v1/nodes?limit=1`, signal, apiKey);
  if (answer.ok) return ok("api.key", "accepted, reads the registry (operator or admin)");
  const { code, hint } = (await answer.json()) as Partial<Problem>;
  if (answer.status === 403) return ok("api.key", "accepted, of a backend or node");
  return fail("api.key", `refused: ${code ?? answer.status}`, {
    wanted: "a valid key",
    fix: hint ?? "make a new one: outcry api-key create",
  });
}

async function keySetOf(api: Api): Promise<Finding[]> {
  try {
    const keys = await fetchKeySet(api);
    const bad = keys.filter((key) => checkPublicJwk(key).kind !== "ok");
    if (keys.length > 0 && bad.length === 0) return [ok("keys.published", keys.map(({ kid }) => kid).join(", "))];
    const found = keys.length === 0 ? "an empty key set" : `unacceptable: ${bad.map(({ kid }) => kid).join(", ")}`;
    return [
      fail("keys.published", found, {
        wanted: "at least one Ed25519 key",
        fix: "outcry keys gen signing-key.json, then OUTCRY_SIGNING_KEY_FILE",
      }),
    ];
  } catch (error) {
    return [
      fail("keys.published", messageOf(error), {
        wanted: "a key set",
        fix: `let proxies pass ${api.url}/.well-known/jwks.json`,
      }),
    ];
  }
}

function gatewayOf({ gatewayUrl }: Api): Promise<Finding> {
  const fix = "start the gateway, or name it with --gateway-url; proxies must pass WebSocket upgrades";
  return new Promise((resolve) => {
    const socket = new WebSocket(gatewayUrl, "outcry.v1", { handshakeTimeout: TIMEOUT_MS });
    socket.once("open", () => {
      resolve(ok("gateway.reachable", `${gatewayUrl} speaks ${socket.protocol || "WebSocket"}`));
      socket.terminate();
    });
    socket.once("error", (error) => {
      resolve(fail("gateway.reachable", `${gatewayUrl}: ${messageOf(error)}`, { wanted: "a WebSocket", fix }));
      socket.terminate();
    });
  });
}

const get = (url: string, signal: AbortSignal, key?: string): Promise<Response> =>
  fetch(url, {
    signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]),
    ...(key === undefined ? {} : { headers: { authorization: `Bearer ${key}` } }),
  });
