// Everything outside of the service: who posts intents, and the sellers who hear and answer them.

import {
  type Intent,
  type NodeRecord,
  type Notice,
  type QuoteAnswer,
  STREAMS,
  SUBJECTS,
  buildQuote,
  canonicalize,
  digestOf,
  nodeInboxPrefix,
} from "@outcry/protocol";
import { signEnvelope } from "@outcry/signing";
import { randomBytes } from "node:crypto";
import { headers } from "@nats-io/transport-node";
import { type Run, closedLoop, orStuck } from "../closed-loop.js";
import { readIntents } from "../real-intents.js";
import { HttpConnection, type Target, getBytes, requestBytes } from "./http-client.js";
import type { SampleQuote } from "./intake.js";
import { BARE_TIMEOUT_MS, type Place } from "./place.js";
import { type Seller, SellerFleet, makeSellers, recordOf, signAcks } from "./sellers.js";

const DIRECT_GET = `$JS.API.DIRECT.GET.${STREAMS.intents}`;
const ASK_AGAIN_MS = 500;
const OPEN_FOR_MS = 3_600_000;

interface SignedQuote {
  id: string;
  seller: Seller;
  subject: string;
  bytes: Uint8Array;
  jws: string;
}

export function loadRole() {
  const fleet = new SellerFleet();
  let sellers: Seller[] = [];
  let requests: Buffer[] = [];
  let quotes: SignedQuote[] = [];
  let answers: ((answer: QuoteAnswer) => void)[] = [];

  const verbs = {
    /** Returns what the registry shall hold of them. */
    async openSellers({
      place,
      count,
      connections,
    }: {
      place: Place;
      count: number;
      connections: number;
    }): Promise<NodeRecord[]> {
      sellers = makeSellers(count, connections);
      await fleet.open(place, sellers, connections);
      for (let own = 0; own < connections; own++) {
        fleet.connection(own).subscribe(`_INBOX.*.c${own}.*`, {
          callback: (_, message) => {
            const index = message.subject.slice(message.subject.lastIndexOf(".") + 1);
            answers[Number(index)]?.(message.json<QuoteAnswer>());
          },
        });
      }
      return sellers.map(recordOf);
    },

    async preparePosts({ target, count }: { target: Target; count: number }): Promise<void> {
      const set = readIntents().requests;
      const deadline = new Date(Date.now() + OPEN_FOR_MS).toISOString();
      const run = randomBytes(6).toString("hex");
      requests = Array.from({ length: count }, (_, index) => {
        const body = { ...set[index % set.length]!, quote_deadline: deadline };
        return requestBytes(target, `${run}-${index}`, JSON.stringify(body));
      });
    },

    async runPosts({ url, connections }: { url: string; connections: number }): Promise<Run> {
      const open = await Promise.all(Array.from({ length: connections }, () => HttpConnection.open(url)));
      const free = [...open];
      try {
        return await closedLoop({ count: requests.length, inFlight: connections }, async (index) => {
          const connection = free.pop()!;
          await connection.post(requests[index]!);
          free.push(connection);
        });
      } finally {
        for (const connection of open) connection.close();
      }
    },

    /** One GET after another on one connection. */
    async runGets({ url, apiKey, paths }: { url: string; apiKey: string; paths: string[] }): Promise<Run> {
      const connection = await HttpConnection.open(url);
      const asked = paths.map((path) => getBytes({ url, path, apiKey }));
      const run = await closedLoop({ count: asked.length, inFlight: 1 }, async (index) => {
        await connection.get(asked[index]!);
      });
      connection.close();
      return run;
    },

    /** Resolves when the server, which may just have been started again, answers. */
    async untilServed(): Promise<void> {
      const ask = () => fleet.connection(0).request("$JS.API.INFO", "", { timeout: ASK_AGAIN_MS });
      const untilMs = Date.now() + BARE_TIMEOUT_MS;
      for (;;) {
        const served = await ask().then(
          () => true,
          (error: unknown) => {
            if (Date.now() > untilMs) throw error;
            return false;
          },
        );
        if (served) return;
      }
    },

    /** The last message of each subject of INTENTS, one read after another, past the service. */
    async runDirectGets(subjects: string[]): Promise<Run> {
      return closedLoop({ count: subjects.length, inFlight: 1 }, async (index) => {
        const query = JSON.stringify({ last_by_subj: subjects[index]! });
        const options = { timeout: BARE_TIMEOUT_MS };
        const { data, headers: fields } = await fleet.connection(0).request(DIRECT_GET, query, options);
        if (data.length === 0) throw new Error(`a record of the bench is not there: ${fields?.description}`);
      });
    },

    /** One POST after another, `everyMs` apart: the time until every seller has it. Both ends are in this process. */
    async runReach({ url, everyMs }: { url: string; everyMs: number }): Promise<Run> {
      const connection = await HttpConnection.open(url);
      const latenciesMs: number[] = [];
      const begunMs = performance.now();
      for (const [index, request] of requests.entries()) {
        const waitMs = begunMs + index * everyMs - performance.now();
        if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
        let left = sellers.length;
        const heard = new Promise<number>((resolve) => {
          fleet.onIntent = () => {
            if (--left === 0) resolve(performance.now());
          };
        });
        const fromMs = performance.now();
        const posted = connection.post(request);
        latenciesMs.push((await orStuck(heard, () => `${sellers.length - left} of ${sellers.length}`)) - fromMs);
        await posted;
      }
      fleet.onIntent = () => undefined;
      connection.close();
      return { count: requests.length, seconds: (performance.now() - begunMs) / 1_000, latenciesMs };
    },

    /** From now on these sellers' acks of these intents are signed; of no others. */
    async signAcks({
      intents,
      count,
    }: {
      intents: { intent: string; digest: string }[];
      count: number;
    }): Promise<void> {
      const signing = sellers.slice(0, count);
      fleet.signedAcks = new Map(intents.map(({ intent, digest }) => [intent, signAcks(signing, digest)]));
    },

    async forgetIntents(): Promise<void> {
      fleet.heard.clear();
    },

    /** Signs one quote per seller and intent heard since they were forgotten; `silent` sellers at the end make none, so that intents stay open. */
    async prepareQuotes({ count, silent }: { count: number; silent: number }): Promise<void> {
      const quoting = sellers.slice(0, sellers.length - silent);
      quotes = [];
      for (const heard of fleet.heard.values()) {
        const intent = JSON.parse(Buffer.from(heard.bytes).toString()) as Intent;
        const requestDigest = digestOf(heard.bytes);
        for (const seller of quoting) if (quotes.length < count) quotes.push(quoteOf(seller, intent, requestDigest));
      }
    },

    async sampleQuotes(count: number): Promise<SampleQuote[]> {
      return quotes.slice(0, count).map(sampleOf);
    },

    /** Requests with a bounded number without an answer; done when every quote is announced as ranked. */
    async runQuotes(inFlight: number): Promise<Run> {
      const sentMs = new Map<string, number>();
      const latenciesMs: number[] = [];
      let refused: string | undefined;
      const ranked = new Promise<void>((resolve, reject) => {
        fleet.onNotice = (data) => {
          const notice = JSON.parse(Buffer.from(data).toString()) as Notice;
          if (notice.type === "caught_up") return;
          if (notice.type === "quote_refused") reject(new Error(`a quote of the bench was refused: ${notice.code}`));
          latenciesMs.push(performance.now() - (sentMs.get(notice.quote_id) ?? Number.NaN));
          if (latenciesMs.length === quotes.length) resolve();
        };
      });
      answers = [];
      const begunMs = performance.now();
      await closedLoop({ count: quotes.length, inFlight }, async (index) => {
        const quote = quotes[index]!;
        sentMs.set(quote.id, performance.now());
        const answer = await new Promise<QuoteAnswer>((resolve) => {
          answers[index] = resolve;
          sendQuote(fleet, quote, index);
        });
        if (answer.kind === "refused") refused ??= `${answer.code}: ${answer.detail}`;
      });
      if (refused !== undefined) throw new Error(`a quote of the bench was not stored: ${refused}`);
      await orStuck(ranked, () => `${latenciesMs.length} of ${quotes.length} quotes`);
      return { count: quotes.length, seconds: (performance.now() - begunMs) / 1_000, latenciesMs };
    },
  };
  return { verbs, stop: () => fleet.close() };
}

export type LoadVerbs = ReturnType<typeof loadRole>["verbs"];

function quoteOf(seller: Seller, intent: Intent, requestDigest: string): SignedQuote {
  const quote = buildQuote(intent, { amountMinor: 4_200 }, { nodeId: seller.id, ordinal: 0, requestDigest });
  const bytes = canonicalize(quote);
  const { jws } = signEnvelope(bytes, "quote", seller.key);
  return { id: quote.id, seller, subject: SUBJECTS.nodeQuote(seller.id, intent.id), bytes, jws };
}

function sendQuote(fleet: SellerFleet, { seller, subject, bytes, jws }: SignedQuote, index: number): void {
  const fields = headers();
  fields.set("Outcry-Signature", jws);
  const reply = `${nodeInboxPrefix(seller.id)}.c${seller.connection}.${index}`;
  fleet.connection(seller.connection).publish(subject, bytes, { headers: fields, reply });
}

function sampleOf({ seller, bytes, jws }: SignedQuote): SampleQuote {
  const [header, , signature] = jws.split(".") as [string, string, string];
  return {
    bytes,
    jws,
    signingInput: Buffer.from(`${header}.${Buffer.from(bytes).toString("base64url")}`),
    signature: Buffer.from(signature, "base64url"),
    publicKey: Buffer.from(seller.key.publicKey).toString("base64url"),
  };
}
