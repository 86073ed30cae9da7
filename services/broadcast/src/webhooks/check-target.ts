// Where a webhook may go (threat 15, SSRF): first the text of the URL, then every address its name resolves to. Whoever connects
// uses the addresses found here and resolves nothing again, so that a second answer of the name server changes nothing.

import { lookup, Resolver } from "node:dns/promises";
import { isIP } from "node:net";
import { isPublicAddress } from "./public-address.js";

export interface TargetRules {
  readonly ports: readonly number[];
  /** Development only: http, any port, any address. */
  readonly allowPrivate: boolean;
}

/** Every address of a name; rejects or is empty when there is none. */
export type ResolveHost = (host: string) => Promise<readonly string[]>;

export type TextVerdict = { kind: "ok"; url: URL } | { kind: "refused"; reason: string };
export type Target = { kind: "ok"; url: URL; addresses: readonly string[] } | { kind: "refused"; reason: string };

const RESOLVE_TIMEOUT_MS = 2_000; // per try
const RESOLVE_TRIES = 2;
const HOST = /^(?:[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?\.)+[a-z][a-z0-9-]*[a-z0-9]$/; // after IDNA, so ASCII; two labels at least
// RFC 6761, RFC 6762, RFC 7686, RFC 8375, RFC 9476, ICANN's .internal: never in the public DNS.
const LOCAL_SUFFIX =
  /\.(?:localhost|localdomain|local|internal|intranet|lan|home\.arpa|alt|test|example|invalid|onion)$/;

const refused = (reason: string): { kind: "refused"; reason: string } => ({ kind: "refused", reason });

/** The text alone; no name is asked for. */
export function checkTargetText(text: string, rules: TargetRules): TextVerdict {
  // WHATWG parsing drops tabs and line ends and turns `\` into `/`: what is stored must be what is called.
  if (/[\s\\]/.test(text) || !URL.canParse(text)) return refused("it is no URL");
  const url = new URL(text);
  if (url.protocol !== "https:" && !(rules.allowPrivate && url.protocol === "http:")) return refused("it is not https");
  if (url.username !== "" || url.password !== "" || /^[a-z]+:\/*[^/?#]*@/i.test(text))
    return refused("it holds userinfo");
  if (url.hash !== "" || text.includes("#")) return refused("it holds a fragment");
  if (rules.allowPrivate) return { kind: "ok", url };
  const port = url.port === "" ? 443 : Number(url.port);
  if (!rules.ports.includes(port)) return refused(`port ${port} is not among the allowed ones`);
  return checkHost(url);
}

function checkHost(url: URL): TextVerdict {
  // Parsed, 0x7f.1, 2130706433 and ①②⑦.0.0.1 are all 127.0.0.1.
  const host = url.hostname.replace(/\.$/, "");
  if (host.startsWith("[") || isIP(host) !== 0) return refused("its host is an IP address");
  if (!HOST.test(host) || LOCAL_SUFFIX.test(host)) return refused("its host is no public name");
  return { kind: "ok", url };
}

/** Text and addresses: one address that is not public refuses them all. */
export async function checkTarget(text: string, rules: TargetRules, resolve: ResolveHost): Promise<Target> {
  const checked = checkTargetText(text, rules);
  if (checked.kind === "refused") return checked;
  const { url } = checked;
  let addresses: readonly string[];
  try {
    addresses = await resolve(url.hostname.replace(/^\[|\]$/g, ""));
  } catch {
    addresses = [];
  }
  if (addresses.length === 0) return refused("its host does not resolve");
  const bad = rules.allowPrivate ? undefined : addresses.find((address) => !isPublicAddress(address));
  // Which address is not said: the answer would map the inside of the operator's network.
  return bad === undefined
    ? { kind: "ok", url, addresses }
    : refused("its host resolves to an address that is not public");
}

/** The public DNS, A and AAAA. Not getaddrinfo: its threads are few, and a name server that is slow would hold up others. */
export const resolvePublic: ResolveHost = async (host) => {
  const resolver = new Resolver({ timeout: RESOLVE_TIMEOUT_MS, tries: RESOLVE_TRIES });
  const answers = await Promise.allSettled([resolver.resolve4(host), resolver.resolve6(host)]);
  return answers.flatMap((answer) => (answer.status === "fulfilled" ? answer.value : []));
};

/** With the machine's own names, such as localhost. Development only. */
export const resolveAny: ResolveHost = async (host) =>
  (await lookup(host, { all: true })).map(({ address }) => address);
