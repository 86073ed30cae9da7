// The backend of a fault test: posts intents at a steady pace, repeats each under its key until it is accepted, ends some early.
// A lost answer is "unknown", never "failed": the same key is used again.

import { setTimeout as sleep } from "node:timers/promises";
import type { IntentAccepted, IntentAmended, Problem } from "@outcry/protocol";
import { SIZES, seeded } from "./sizes.js";

const REQUEST_TIMEOUT_MS = 8_000;
const RETRY_BASE_MS = 100; // full jitter up to base · 2^tries, as a well-behaved client waits
const RETRY_MAX_MS = 2_000;
const GIVE_UP_MS = 90_000;

export interface Try {
  /** 0 = no answer at all. */
  status: number;
  code?: string;
  retryAfter: boolean;
  tookMs: number;
}

export interface Post {
  key: string;
  body: Record<string, unknown>;
  targets: string[];
  tries: Try[];
  /** Absent when its deadline passed before any answer came: then it must not be in the record. */
  accepted?: IntentAccepted;
  /** Ended early by the backend; undefined = left alone. */
  ended?: "cancel" | "close";
  /** What was changed in it; without an answer when it had ended before. */
  amendments: { key: string; body: Record<string, unknown>; answer?: IntentAmended; replay?: IntentAmended }[];
  /** The same request once more, after everything. */
  replay?: { status: number; replayed: boolean; answer: IntentAccepted };
}

export interface LoadOptions {
  urls: readonly string[];
  secret: string;
  nodes: readonly string[];
  seed: number;
  intents?: number;
  perSecond?: number;
  /** Quote windows; default: those of SIZES. */
  windowMs?: readonly [min: number, max: number];
  /** Share of intents that the backend ends early. */
  endEarly?: number;
  /** Share of intents that are amended once or twice. */
  amend?: number;
  /** False: a node that always answers may still be taken for dead. */
  healthyRule?: boolean;
}

/** Resolves with every post, accepted or too late to be. */
export async function runLoad(options: LoadOptions): Promise<Post[]> {
  const { seed, nodes, intents = SIZES.intents, perSecond = SIZES.perSecond, endEarly = 0.1, amend = 0.15 } = options;
  const random = seeded(seed);
  const [windowMin, windowMax] = options.windowMs ?? [SIZES.windowMinMs, SIZES.windowMaxMs];
  const startedAt = Date.now();
  const posting: Promise<Post>[] = [];
  for (let index = 0; index < intents; index++) {
    const count = SIZES.targetsMin + Math.floor(random() * (SIZES.targetsMax - SIZES.targetsMin + 1));
    const targets = shuffled(nodes, random).slice(0, count);
    const windowMs = windowMin + random() * (windowMax - windowMin);
    const roll = random();
    const early = roll < endEarly / 2 ? "cancel" : roll < endEarly ? "close" : undefined;
    const endAfterMs = random() * 400;
    const amendments = random() < amend ? [random() * 600, ...(random() < 0.4 ? [random() * 600] : [])] : [];
    await sleep(Math.max(0, startedAt + (1_000 * index) / perSecond - Date.now()));
    posting.push(
      postOne(options, {
        key: `load-${seed}-${index}`,
        targets,
        windowMs,
        early,
        endAfterMs,
        amendments,
        first: index,
      }),
    );
  }
  return Promise.all(posting);
}

interface Plan {
  key: string;
  targets: string[];
  windowMs: number;
  early: "cancel" | "close" | undefined;
  endAfterMs: number;
  /** How long after the one before. */
  amendments: number[];
  /** Which of the URLs is asked first. */
  first: number;
}

async function postOne(options: LoadOptions, plan: Plan): Promise<Post> {
  const body = {
    line_items: [{ query: `thing ${plan.key}` }],
    context: { currency: "EUR" },
    routing: { targets: plan.targets },
    quote_deadline: new Date(Date.now() + plan.windowMs).toISOString(),
  };
  const tries: Try[] = [];
  const accepted = await insist(options, plan, tries, (url) =>
    send<IntentAccepted>(url, options.secret, "POST", "/v1/intents", body, { "idempotency-key": plan.key }),
  );
  const post: Post = {
    key: plan.key,
    body,
    targets: plan.targets,
    tries,
    amendments: [],
    ...(accepted ? { accepted } : {}),
  };
  if (accepted === undefined) return post;
  const amending = amendAll(options, plan, accepted.id, post);
  if (plan.early === undefined) {
    await amending;
    return post;
  }
  await sleep(plan.endAfterMs);
  await insist(options, plan, [], (url) =>
    send(url, options.secret, "POST", `/v1/intents/${accepted.id}/${plan.early}`, { reason: "changed my mind" }),
  );
  await amending;
  return { ...post, ended: plan.early };
}

/** Races the end on purpose. A deadline that has passed meanwhile, or an end, refuses it. */
async function amendAll(options: LoadOptions, plan: Plan, id: string, post: Post): Promise<void> {
  for (const [nth, afterMs] of plan.amendments.entries()) {
    await sleep(afterMs);
    const key = `${plan.key}-amend-${nth}`;
    const body = { budget: { max_minor: 50_000 + nth }, description: `changed ${nth + 1} times` };
    const answer = await insist<IntentAmended>(options, plan, [], (url) => amendOnce(options, url, id, key, body));
    post.amendments.push({ key, body, ...(answer?.revision === undefined ? {} : { answer }) });
  }
}

const amendOnce = (options: LoadOptions, url: string, id: string, key: string, body: unknown) =>
  send<IntentAmended>(url, options.secret, "POST", `/v1/intents/${id}/amend`, body, { "idempotency-key": key });

/**
 * Until a 2xx, or a 409: an intent that has ended otherwise cannot be ended again. Undefined when the deadline has passed
 * meanwhile; any other refusal of the request itself is thrown.
 */
async function insist<T>(
  options: LoadOptions,
  plan: Plan,
  tries: Try[],
  ask: (url: string) => Promise<Answer<T>>,
): Promise<T | undefined> {
  const untilMs = Date.now() + GIVE_UP_MS;
  for (let attempt = plan.first; Date.now() < untilMs; attempt++) {
    const askedAt = performance.now();
    const answer = await ask(options.urls[attempt % options.urls.length]!);
    tries.push({
      status: answer.status,
      ...(answer.code === undefined ? {} : { code: answer.code }),
      retryAfter: answer.headers?.has("retry-after") ?? false,
      tookMs: Math.round(performance.now() - askedAt),
    });
    if ((answer.status >= 200 && answer.status < 300) || answer.status === 409) return answer.body as T;
    if (answer.code === "deadline_invalid") return undefined;
    if (answer.status >= 400 && answer.status < 500)
      throw new Error(`${plan.key}: ${answer.status} ${JSON.stringify(answer.body)}`);
    await sleep(Math.random() * Math.min(RETRY_MAX_MS, RETRY_BASE_MS * 2 ** (attempt - plan.first)));
  }
  throw new Error(`${plan.key} was not accepted within ${GIVE_UP_MS} ms: ${JSON.stringify(tries.at(-1))}`);
}

export interface Answer<T> {
  /** 0 = no answer. */
  status: number;
  code?: string;
  headers?: Headers;
  body: T | Problem | undefined;
}

export async function send<T>(
  url: string,
  secret: string,
  method: string,
  route: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<Answer<T>> {
  try {
    const response = await fetch(url + route, {
      method,
      headers: {
        authorization: `Bearer ${secret}`,
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        ...headers,
      },
      signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    const parsed = (text === "" ? undefined : JSON.parse(text)) as T | Problem | undefined;
    const code = response.ok ? undefined : (parsed as Problem | undefined)?.code;
    return {
      status: response.status,
      headers: response.headers,
      body: parsed,
      ...(code === undefined ? {} : { code }),
    };
  } catch {
    return { status: 0, body: undefined }; // refused, cut off or silent: the outcome is unknown
  }
}

/** Each post once more under its key: the answer must be the first one, and say that it is a replay. */
export async function replayAll(options: LoadOptions, posts: Post[]): Promise<void> {
  for (const post of posts) {
    if (post.accepted === undefined) continue;
    for (const url of options.urls) {
      const headers = { "idempotency-key": post.key };
      const answer = await send<IntentAccepted>(url, options.secret, "POST", "/v1/intents", post.body, headers);
      post.replay = {
        status: answer.status,
        replayed: answer.headers?.get("idempotent-replayed") === "true",
        answer: answer.body as IntentAccepted,
      };
      if (answer.status === 0) continue; // that process was killed for good
      for (const one of post.amendments) {
        if (one.answer === undefined) continue;
        const again = await amendOnce(options, url, post.accepted.id, one.key, one.body);
        if (again.status === 202) one.replay = again.body as IntentAmended;
      }
      break;
    }
  }
}

function shuffled<T>(list: readonly T[], random: () => number): T[] {
  const copy = [...list];
  for (let index = copy.length - 1; index > 0; index--) {
    const other = Math.floor(random() * (index + 1));
    [copy[index], copy[other]] = [copy[other]!, copy[index]!];
  }
  return copy;
}
